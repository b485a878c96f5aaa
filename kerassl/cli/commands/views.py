"""`kerassl views`."""

from __future__ import annotations

import argparse

from kerassl import _numbers, tasks
from kerassl.cli import flags


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    parser = flags.command(
        subparsers, "views", "draw the views that pre-training makes of images, or with --data what fine-tuning sees"
    )
    parser.add_argument("images", nargs="*", metavar="PATH", help="images or folders of them (or data.unlabeled)")
    parser.add_argument("--out", required=True, metavar="FILE", help="the .png or .jpg file to write")
    parser.add_argument(
        "--count", type=flags.number(_numbers.COUNT), default=6, help="at most so many images, by --seed (default 6)"
    )
    parser.add_argument(
        "--image-size", type=flags.image_size, help="side of the views in pixels, a multiple of 32 (default 128)"
    )
    flags.labels(parser, part="train")
    parser.add_argument(
        "--task", choices=("detector", "localizer"), help="whose training images to draw of --data (default detector)"
    )
    flags.views(parser)
    flags.level(parser, "feature map whose matched locations are numbered (default P5)", default="P5")
    flags.setting(parser, "seed")


def run(arguments: argparse.Namespace) -> None:
    drawn = tasks.views(**flags.given(arguments))
    print(f"{drawn} images: {arguments.out}")
