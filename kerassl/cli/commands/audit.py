"""`kerassl audit`."""

from __future__ import annotations

import argparse
import pathlib

from kerassl import _numbers, tasks
from kerassl._display import printable
from kerassl.cli import flags


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    parser = flags.command(
        subparsers, "audit", "find where a model is right for the wrong reason; writes report.html and JSON"
    )
    flags.model(parser)
    flags.labels(parser)
    parser.add_argument(
        "--count",
        type=flags.number(_numbers.COUNT),
        help="at most so many images, a subset by --seed; 300 and more show most",
    )
    flags.level(parser, "feature map; finer ones show smaller things (default P4)", default="P4")
    parser.add_argument(
        "--drawn",
        type=flags.number(_numbers.COUNT_OR_NONE),
        default=24,
        help="images that the page draws, the worst first (default 24)",
    )
    parser.add_argument(
        "--out", required=True, metavar="FOLDER", help="a new folder for page, audit.json, regions.json"
    )
    flags.setting(parser, "seed")


def run(arguments: argparse.Namespace) -> None:
    found = tasks.audit(**flags.given(arguments))
    figures = found.figures()
    print(
        f"{figures['images']} heatmaps: {figures['wrong_reason']} right for the wrong reason, {figures['off_object']} "
        f"off the object, {len(found.findings)} recurring regions"
    )
    for each in found.findings:
        region = ", ".join(f"{side:.2f}" for side in each["region"])
        print(f"{printable(each['class'])}: [{region}] in {len(each['images'])} images, p {each['p_value']:.3g}")
    print(f"report: {pathlib.Path(arguments.out) / 'report.html'}")
