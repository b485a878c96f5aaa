"""`kerassl evaluate`."""

from __future__ import annotations

import argparse

from kerassl import _numbers, tasks
from kerassl.cli import flags


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    parser = flags.command(subparsers, "evaluate", "score a detector, or saved predictions, on labels")
    parser.add_argument("--model", help="detector.keras or localizer.keras")
    parser.add_argument(
        "--predictions",
        nargs="+",
        metavar="PATH",
        help="in place of --model: predictions.json, the folder of predict (coco, yolo, voc or csv) or of all its "
        "parts, a COCO results json, or the devkit's comp4_det_<set>_<class>.txt files or their folder",
    )
    flags.labels(parser)
    parser.add_argument(
        "--score",
        type=flags.number(_numbers.REAL),
        help="lowest score of the detections whose errors are sorted; 0.3 to 0.5 is what users would be shown, "
        "default all; every AP counts all",
    )
    parser.add_argument("--out", metavar="FILE", help="also write the figures to this .json file")
    parser.add_argument(
        "--plots",
        metavar="FOLDER",
        help="also draw precision against recall, and the kinds of errors, into this folder",
    )


def run(arguments: argparse.Namespace) -> None:
    from kerassl.tasks.evaluate import plot_files  # here: it loads matplotlib, which --help can do without

    print(tasks.evaluate(**flags.given(arguments)))
    if arguments.out:
        print(f"figures: {arguments.out}")
    for path in plot_files(arguments.plots):
        print(f"plot: {path}")
