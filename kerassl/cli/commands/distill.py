"""`kerassl distill`."""

from __future__ import annotations

import argparse

from kerassl.cli import flags


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    parser = flags.command(subparsers, "distill", "learn a backbone from a frozen network's features, without labels")
    flags.run_folder(parser)
    flags.setting(parser, "data.unlabeled", "images", metavar="FOLDER")
    flags.setting(parser, "distill.teacher", metavar="NAME|FILE.keras|kerashub:PRESET")
    flags.setting(parser, "distill.teacher_weights", metavar="imagenet|random|FILE")
    flags.setting(parser, "distill.teacher_cut_at", metavar="LAYER")
    flags.network(parser, "random", "student")
    own = ("image_size", "batch_size", "epochs", "contrast", "contrast_weight")
    for key in (*(f"distill.{name}" for name in own), "seed"):
        flags.setting(parser, key)


def run(arguments: argparse.Namespace) -> None:
    from kerassl.runs.distill import distill

    flags.report_backbone(distill, arguments, "distill")
