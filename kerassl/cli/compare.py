"""`kerassl compare`."""

from __future__ import annotations

import argparse

from kerassl import _numbers
from kerassl.cli import flags


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    parser = flags.command(subparsers, "compare", "run the whole pipeline for several variants, into one report.html")
    flags.run_folder(parser)
    flags.setting(parser, "backbone")
    parser.add_argument(
        "--minutes", type=flags.number(_numbers.ABOVE_0), metavar="N",
        help="stop after the training or the checkpoint in which so many minutes are over, with exit status 3; the "
        "same command with --resume continues and repeats nothing",
    )  # fmt: skip
    parser.add_argument(
        "--skip",
        nargs="*",
        metavar="NAME",
        help="variants to leave out, as one that failed; without names all are taken in again",
    )
    flags.setting(parser, "seed")


def run(arguments: argparse.Namespace) -> int | None:
    from kerassl.comparison import execute
    from kerassl.runs.config import without
    from kerassl.runs.start import check_network
    from kerassl.runs.time_limit import OutOfTimeError, TimeLimit

    limit = TimeLimit(arguments.minutes)
    settings = {"backbone": arguments.backbone, "seed": arguments.seed, "compare.skip": arguments.skip}
    config = flags.run_config(arguments, settings)
    check_network(config)
    with flags.claimed(arguments, config) as folder:
        try:
            execute.compare(without(config, config.compare.skip), folder, limit)
        except OutOfTimeError:
            print(f"{arguments.minutes:g} minutes are over; the same command with --resume continues: {folder}")
            return 3
    return None
