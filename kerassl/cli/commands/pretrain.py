"""`kerassl pretrain`."""

from __future__ import annotations

import argparse

from kerassl.cli import flags


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    parser = flags.command(subparsers, "pretrain", "learn a backbone from images without labels")
    flags.run_folder(parser)
    flags.setting(parser, "data.unlabeled", "images", metavar="FOLDER")
    flags.network(parser, "random")
    for key in (
        "pretrain.image_size", "pretrain.batch_size", "pretrain.epochs", "pretrain.temperature", "seed",
    ):  # fmt: skip
        flags.setting(parser, key)


def run(arguments: argparse.Namespace) -> None:
    from kerassl.runs.pretrain import pretrain

    flags.report_backbone(pretrain, arguments, "pretrain")
