"""`kerassl inspect`."""

from __future__ import annotations

import argparse

from kerassl import tasks
from kerassl.cli import flags


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    parser = flags.command(
        subparsers, "inspect", "describe a data set: sizes, classes, boxes, broken files, duplicates"
    )
    parser.add_argument("paths", nargs="*", metavar="PATH", help="images or folders of them, or one path as of --data")
    flags.labels(parser, broken=False, part="train")  # the command is for finding them
    for name in ("val", "test"):
        parser.add_argument(
            f"--{name}", metavar="PATH", help="other labels, whose images are compared with those of --data"
        )
    parser.add_argument(
        "--decode", action="store_true", help="decode each image; finds files that are damaged in the middle, too"
    )
    parser.add_argument(
        "--no-duplicates",
        action="store_false",
        dest="duplicates",
        help="do not search for duplicates, which takes 10 seconds for 10,000 small photos and some minutes for large "
        "ones",
    )
    parser.add_argument(
        "--out", metavar="FILE", help="also draw the card into this .png file, or write it to this .json"
    )


def run(arguments: argparse.Namespace) -> None:
    print(tasks.inspect(**flags.given(arguments)))
    if arguments.out:
        print(f"card: {arguments.out}")
