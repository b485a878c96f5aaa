"""`kerassl convert`."""

from __future__ import annotations

import argparse

from kerassl import tasks
from kerassl.cli import flags


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    parser = flags.command(
        subparsers, "convert", "write labeled images in another format, in a new folder", config=False
    )
    parser.add_argument("data", metavar="IN", help="labels of any format, as --data of the other commands takes them")
    parser.add_argument("out", metavar="OUT", help="the folder to write; new, and outside of IN")
    parser.add_argument(
        "--format",
        required=True,
        choices=("voc", "coco", "yolo", "csv", "shards"),
        help="coco and shards hold difficult objects and crowd regions, voc the former, yolo and csv plain boxes",
    )
    parser.add_argument(
        "--data-images", metavar="FOLDER", help="folder of the images that the labels name (default: found beside them)"
    )
    parser.add_argument(
        "--split",
        metavar="NAME",
        help="write this split alone (default: train, val and test, where the data have them)",
    )
    flags.setting(parser, "data.classes")
    flags.setting(parser, "data.allow_broken_labels")
    parser.add_argument(
        "--copy", action="store_true", help="copy the images (default: hard links, which take no space, where possible)"
    )


def run(arguments: argparse.Namespace) -> None:
    done = tasks.convert(**flags.given(arguments))
    print(f"{done.images} images with {done.objects} objects: {', '.join(map(str, done.paths))}")
