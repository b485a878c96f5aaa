"""`kerassl embed`."""

from __future__ import annotations

import argparse

from kerassl import tasks
from kerassl.cli import flags


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    parser = flags.command(
        subparsers, "embed", "features of images from a backbone, as .npz of names and vectors", config=False
    )
    parser.add_argument("--backbone", required=True, help="backbone.keras of a pre-training")
    parser.add_argument("--images", nargs="+", required=True, metavar="PATH", help="images or folders of them")
    parser.add_argument(
        "--out", required=True, metavar="FILE", help="the .npz file to write; with --part a folder for them"
    )
    parser.add_argument(
        "--image-size", type=flags.image_size, default=128, help="side in pixels, a multiple of 32 (default 128)"
    )
    flags.part(parser)


def run(arguments: argparse.Namespace) -> None:
    found = tasks.embed(**flags.given(arguments))
    print(
        f"{flags.images_read(len(found.names), found.broken)}, {found.features.shape[1]} features each: {arguments.out}"
    )
