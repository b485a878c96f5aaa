"""`kerassl features`."""

from __future__ import annotations

import argparse

from kerassl import _numbers, tasks
from kerassl.cli import flags


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    parser = flags.command(
        subparsers, "features", "describe and compare the feature spaces of several models, on one page"
    )
    flags.models(
        parser,
        "backbone.keras, localizer.keras or detector.keras each, or a network's name, with --weights",
        "images or folders of them, without labels",
    )
    parser.add_argument(
        "--weights",
        default="random",
        metavar="imagenet|random|FILE",
        help="weights of the models that are networks' names (default random)",
    )
    flags.labels(parser)
    parser.add_argument(
        "--count",
        type=flags.number(_numbers.COUNT),
        default=500,
        help="at most so many images, chosen by --seed; 200 to 2000 (default 500)",
    )
    parser.add_argument("--homology", action="store_true", help="also count loops; pip install 'kerassl[topology]'")
    flags.setting(parser, "seed")
    parser.add_argument("--out", required=True, metavar="FILE", help="the .html page; figures go beside it as .json")


def run(arguments: argparse.Namespace) -> None:
    from kerassl.report.features import features_text

    found = tasks.describe_features(**flags.given(arguments))
    print(features_text(found.to_dict()))
    images, models = found.geometry.images, len(arguments.models)
    print(f"{images} images, {models} models, {found.minutes:.1f} minutes: {arguments.out}")
