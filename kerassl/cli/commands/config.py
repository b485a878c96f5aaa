"""`kerassl config`."""

from __future__ import annotations

import argparse

from kerassl.cli import flags
from kerassl.config.reference import default_config, shipped_config, shipped_configs


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    parser = flags.command(
        subparsers, "config", "print every setting with its type, default and advice, or an example", config=False
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("name", nargs="?", metavar="EXAMPLE", help="print this example, as: voc_small > run.yaml")
    which.add_argument("--list", action="store_true", help="print the names of the examples and what each does")


def run(arguments: argparse.Namespace) -> None:
    if arguments.list:
        for name, path in shipped_configs().items():
            first = path.read_text(encoding="utf-8").splitlines()[0]
            print(f"{name:18}{first.removeprefix('# ')}")
    elif arguments.name:
        print(shipped_config(arguments.name), end="")
    else:
        print(default_config(), end="")
