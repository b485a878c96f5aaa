"""`kerassl explain`."""

from __future__ import annotations

import argparse

from kerassl import _numbers, tasks
from kerassl.cli import flags


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    parser = flags.command(subparsers, "explain", "draw class activation maps, and score them on labeled images")
    flags.models(
        parser,
        "as ours=a/detector.keras random=b/…; with --data backbones, too",
        "images or folders of them: CAMs alone",
    )
    flags.labels(parser)
    parser.add_argument(
        "--class", dest="class_name", help="whose evidence to draw of --images; default: the best-scoring class"
    )
    parser.add_argument(
        "--method", choices=("gradcam", "gradcam++", "layercam", "scorecam"), default="gradcam",
        help="scorecam takes minutes an image (default gradcam)",
    )  # fmt: skip
    flags.level(
        parser, "feature map; P5 is coarse and sure (default the deepest; with --data the best on images not scored)"
    )
    parser.add_argument(
        "--count",
        type=flags.number(_numbers.COUNT),
        help="at most so many images (default 8; of --data 400, a quarter of them for tuning)",
    )
    parser.add_argument(
        "--insertion", type=flags.number(_numbers.COUNT_OR_NONE), default=0, metavar="STEPS",
        help="also insert and delete pixels by falling saliency, in so many steps; 10 to 20, slow (default 0: no)",
    )  # fmt: skip
    parser.add_argument(
        "--seed", type=flags.number(_numbers.SEED), help="draws the images, those for tuning, and the bootstrap"
    )
    parser.add_argument(
        "--out",
        required=True,
        metavar="PATH",
        help="the .png file to write; with --data the folder of table and images",
    )


def run(arguments: argparse.Namespace) -> None:
    from kerassl.report.explain import scores_table

    found = tasks.explain_models(**flags.given(arguments))
    if isinstance(found, dict):
        read = len(next(iter(found.values())))
        print(f"{read} images, {len(found)} models: {arguments.out}")
        return
    print(scores_table(found.table).to_text())
    print(
        f"{len(found.scored)} images; {found.level} and thresholds chosen on {found.chosen_on} others: {arguments.out}"
    )
