"""`kerassl compare`."""

from __future__ import annotations

import argparse

from kerassl import _numbers
from kerassl._display import printable
from kerassl.cli import flags
from kerassl.types import AP_METRICS, LOCALIZATION_METRICS, PROTOCOLS


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    parser = flags.command(subparsers, "compare", "run the whole pipeline for several variants, into one report.html")
    flags.run_folder(parser)
    flags.network(parser, "random")
    flags.labels(parser, part="train")
    flags.held_out(parser)
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
    from kerassl.comparison.execute import run_comparison
    from kerassl.report.comparison import comparison_text
    from kerassl.runs.running import OutOfTimeError

    try:
        found = flags.run(run_comparison, arguments)
    except OutOfTimeError:
        minutes, folder = arguments.minutes, arguments.out
        print(f"{minutes:g} minutes are over; the same command with --resume continues: {folder}")
        return 3
    if found is None:
        return None
    judged = found.results["significance"]
    print(_table(found.results["variants"]) if judged is None else comparison_text(judged))
    print(f"report: {found.report}")
    return None


def _table(variants: dict) -> str:
    """Return the figures of a single variant as lines."""
    lines = []
    for name, row in variants.items():
        for protocol in (protocol for protocol in PROTOCOLS if protocol in row):
            keys = [key for key in (*LOCALIZATION_METRICS, *AP_METRICS) if key in row[protocol]]
            lines.append(f"{protocol:24}" + "".join(f"{key:>12}" for key in keys))
            lines.append(f"{printable(name):24}" + "".join(f"{100 * row[protocol][key]:12.1f}" for key in keys))
    return "\n".join(lines)
