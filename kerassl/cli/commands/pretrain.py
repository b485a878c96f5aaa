"""`kerassl pretrain`."""

from __future__ import annotations

import argparse

from kerassl.cli import flags
from kerassl.config.pretraining import FEW, METHODS


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    parser = flags.command(subparsers, "pretrain", "learn a backbone from images without labels")
    flags.run_folder(parser)
    flags.setting(parser, "data.unlabeled", "images", metavar="FOLDER")
    flags.network(parser, "random")
    for key in ("image_size", "batch_size", "epochs", "learning_rate"):
        flags.setting(parser, f"pretrain.{key}", default=key != "epochs")
    flags.views(parser)
    parser.add_argument(
        "--method",
        choices=METHODS,
        help="contrast of whole images, or also of locations, for tighter boxes (default simclr)",
    )
    for key in ("pretrain.temperature", "seed"):
        flags.setting(parser, key)
    parser.epilog = (
        f"With fewer than {FEW:,} photos, start from ImageNet weights (kerassl finetune, kerassl self-train) or learn "
        "from a trained network (kerassl distill) where you can: on natural photos both were measured to give more."
    )


def run(arguments: argparse.Namespace) -> None:
    from kerassl.runs.pretrain import pretrain

    flags.report_backbone(pretrain, arguments, "pretrain")
