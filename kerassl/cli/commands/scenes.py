"""`kerassl scenes`."""

from __future__ import annotations

import argparse

from kerassl import tasks
from kerassl.cli import flags


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    parser = flags.command(subparsers, "scenes", "generate a VOCdevkit of toy scenes with exact boxes and masks")
    parser.add_argument("--out", required=True, metavar="FOLDER", help="the folder to write")
    flags.setting(parser, "data.scenes.train")
    flags.setting(parser, "data.scenes.val")
    flags.setting(parser, "data.scenes.unlabeled", "unlabeled")
    flags.setting(parser, "data.scenes.single_object")
    flags.setting(parser, "seed")


def run(arguments: argparse.Namespace) -> None:
    made = tasks.scenes(**flags.given(arguments))
    print(f"{made.train} + {made.val} labeled and {made.unlabeled} unlabeled scenes: {arguments.out}")
