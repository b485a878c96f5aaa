"""`kerassl export`."""

from __future__ import annotations

import argparse

from kerassl import _numbers, tasks
from kerassl.cli import flags


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    parser = flags.command(subparsers, "export", "write a SavedModel for TensorFlow Serving", config=False)
    flags.model(parser)
    parser.add_argument(
        "--out", required=True, metavar="FOLDER", help="the folder of a new version, as servables/voc/1"
    )
    parser.add_argument(
        "--batch-sizes", type=flags.number(_numbers.COUNT), nargs="+", default=(1, 2, 4, 8), metavar="N",
        help="images that a server works on at once, rising; a batch is filled up to the next (default 1 2 4 8)",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> None:
    print(f"servable: {tasks.export(**flags.given(arguments))}")
