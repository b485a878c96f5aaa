"""`kerassl predict`."""

from __future__ import annotations

import argparse

from kerassl import _numbers, runs
from kerassl.cli import flags


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    parser = flags.command(
        subparsers, "predict", "detect objects in images; writes predictions.json and drawings", config=False
    )
    flags.model(parser)
    parser.add_argument("--images", nargs="+", required=True, metavar="PATH", help="images or folders of them")
    parser.add_argument("--out", required=True, metavar="FOLDER", help="a new folder for the results")
    parser.add_argument(
        "--score",
        type=flags.number(_numbers.SHARE),
        default=0.3,
        help="lowest score that is drawn; 0.3 to 0.5 looks tidy (default 0.3)",
    )


def run(arguments: argparse.Namespace) -> None:
    found = runs.predict(**flags.given(arguments))
    objects = sum(len(each.filter(arguments.score)) for each in found.values())
    print(f"{objects} objects with a score of {arguments.score} or more in {len(found)} images: {arguments.out}")
