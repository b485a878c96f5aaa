"""`kerassl label`."""

from __future__ import annotations

import argparse
import typing

from kerassl import _numbers, tasks
from kerassl.cli import flags


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    parser = flags.command(
        subparsers, "label", "label images with a detector, for training or for people to correct", config=False
    )
    parser.add_argument("--model", required=True, metavar="FILE", help="detector.keras of a run")
    parser.add_argument("--images", nargs="+", required=True, metavar="PATH", help="images or folders of them")
    parser.add_argument(
        "--like",
        required=True,
        metavar="PATH",
        help="labels of people, in any format that --data takes: the card compares with them, and their images are "
        "left out, as are images unlike them",
    )
    parser.add_argument(
        "--like-images", metavar="FOLDER", help="folder of the images that --like names (default: found beside them)"
    )
    parser.add_argument("--split", metavar="NAME", help="a split of --like, as train (default: all labeled images)")
    flags.setting(parser, "data.allow_broken_labels")
    parser.add_argument("--out", required=True, metavar="FOLDER", help="a new folder for the labels")
    parser.add_argument(
        "--format",
        choices=("coco", "voc", "yolo", "labelstudio"),
        default="coco",
        help="coco is what finetune reads with weights, labelstudio pre-annotations to correct (default coco)",
    )
    parser.add_argument(
        "--threshold",
        type=_threshold,
        default=0.3,
        metavar="SCORE|count",
        help="lowest score of a label; count: of as many boxes of each class per image as in --like, the best quarter "
        "are labels, the others ignored (default 0.3)",
    )
    parser.add_argument(
        "--mirror", action="store_true", help="also detect in the mirror images, and merge: twice the time"
    )
    parser.add_argument(
        "--also", metavar="FILE", help="a second detector.keras of the same classes; the detections of both are merged"
    )
    parser.add_argument(
        "--keep-foreign", action="store_true", help="keep images that are unlike the labeled ones by their features"
    )
    parser.add_argument(
        "--weight-by-score", action="store_true", help="let a box count in training as much as it scores"
    )
    parser.add_argument(
        "--least-agreement",
        type=flags.number(_numbers.SHARE),
        metavar="N",
        help="with --mirror or --also: boxes on which both agree less (IoU) train their class alone; 0.8 is usual",
    )
    for flag, where in (("--background", ""), ("--empty-background", " in images without a label")):
        parser.add_argument(
            flag,
            type=flags.number(_numbers.FROM_0),
            default=1.0,
            metavar="N",
            help=f"weight of the background in training{where}; less where objects are missed (default 1)",
        )
    parser.add_argument(
        "--resume", action="store_true", help="continue what was stopped in the folder; a finished one is left as it is"
    )


def _threshold(text):
    return text if text == "count" else flags.number(_numbers.SHARE)(text)


def run(arguments: argparse.Namespace) -> None:
    done: typing.Any = tasks.label(**flags.given(arguments))
    left = "".join(
        f", {count} {reason} left out"
        for count, reason in ((done.labeled, "labeled by people"), (done.foreign, "unlike the labeled ones"))
        if count
    )
    read = flags.images_read(done.images, done.broken)
    print(f"{done.objects} labels in {read}{left}; {done.empty} without any: {done.folder}")
