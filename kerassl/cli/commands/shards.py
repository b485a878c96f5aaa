"""`kerassl shards`."""

from __future__ import annotations

import argparse

from kerassl import _numbers, tasks
from kerassl.cli import flags


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    parser = flags.command(
        subparsers, "shards", "pack images into a few large files, shrunk, to read like their folder"
    )
    parser.add_argument("--images", nargs="+", metavar="FOLDER", help="folders of images without labels")
    flags.labels(parser, part=None)
    parser.add_argument(
        "--out", required=True, metavar="FOLDER", help="the folder to write; the same command again continues"
    )
    parser.add_argument(
        "--image-size",
        type=flags.number(_numbers.COUNT),
        help="short side in pixels that larger images are shrunk to; twice that of the views",
    )
    parser.add_argument(
        "--quality",
        type=flags.number(_numbers.QUALITY),
        default=90,
        help="of the JPEGs, 1 to 100; 85 to 95 (default 90)",
    )
    parser.add_argument(
        "--per-shard",
        type=flags.number(_numbers.COUNT),
        default=1000,
        help="images a file; 50 to 500 MB are handy (default 1000)",
    )
    parser.add_argument(
        "--workers", type=flags.number(_numbers.COUNT), default=2, help="processes that encode; one a core (default 2)"
    )


def run(arguments: argparse.Namespace) -> None:
    done = tasks.shards(**flags.given(arguments))
    kept = f", {done.kept} of them from before" if done.kept else ""
    left = f"; {len(done.broken)} broken files left out" if done.broken else ""
    print(f"{done.images} images in {done.shards} shards{kept}{left}: {arguments.out}")
