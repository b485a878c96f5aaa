"""`kerassl predict`."""

from __future__ import annotations

import argparse

from kerassl import _numbers, tasks
from kerassl._display import counted
from kerassl.cli import flags


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    parser = flags.command(
        subparsers, "predict", "detect objects in images; writes files for other tools", config=False
    )
    flags.model(parser)
    parser.add_argument("--images", nargs="+", required=True, metavar="PATH", help="images or folders of them")
    parser.add_argument("--out", required=True, metavar="FOLDER", help="a new folder for the results")
    parser.add_argument(
        "--format",
        choices=("coco", "yolo", "voc", "csv", "labelstudio"),
        default="coco",
        help="evaluate reads all but labelstudio, which has pre-annotations to correct (default coco)",
    )
    parser.add_argument(
        "--score",
        type=flags.number(_numbers.SHARE),
        default=0.3,
        help="lowest score that is drawn, and written in other formats than coco, which has all; 0.3 to 0.5 looks tidy "
        "(default 0.3)",
    )
    parser.add_argument(
        "--draw",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="also write the images with their boxes, into drawings/",
    )
    flags.part(parser)
    parser.add_argument(
        "--resume", action="store_true", help="continue what was stopped in the folder; a finished one is left as it is"
    )


def run(arguments: argparse.Namespace) -> None:
    done = tasks.predict(**flags.given(arguments))
    read = flags.images_read(done.images, done.broken)
    objects = counted(done.objects, "object")
    print(f"{objects} with a score of {arguments.score} or more in {read}: {done.folder}")
    if done.images and not done.objects:
        print("give a lower --score and another --out for objects that are less sure, or train the model for longer")
