"""The `kerassl` command."""

from __future__ import annotations

import argparse
import errno
import importlib
import logging
import os
import re
import sys
from collections.abc import Sequence

from kerassl._display import printable
from kerassl._environment import check_environment
from kerassl._errors import UserError
from kerassl._version import __version__

COMMANDS = (
    "pretrain", "distill", "finetune", "predict", "label", "self-train", "evaluate", "explain", "audit", "compare",
    "export", "check", "inspect", "views", "convert", "embed", "features", "scenes", "shards", "config",
)  # fmt: skip
"""Each is a module of `kerassl.cli.commands`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: Sequence of str, or None for those of the process.

    Returns:
        Int, the exit status: 0; 2 after invalid input, which is reported without a traceback; 1 from `check`, where a
        servable differs; 3 from `compare`, where `--minutes` were over before the end.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # for names of files that the terminal's encoding lacks
    handler = logging.StreamHandler()
    handler.setFormatter(_OneLine("%(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("kerassl").setLevel(logging.INFO)
    logging.raiseExceptions = False  # a full disk is reported once, not for each line of a log
    given = None
    try:
        given = parser().parse_args(arguments)
        check_environment()
        status = _module(given.command).run(given) or 0
        sys.stdout.flush()
        return status
    except UserError as error:
        print(f"kerassl: {error.shell}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of the output has enough of it, as `head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    except Exception as error:
        line = _full_disk(error, getattr(given, "out", None))
        if line is None:
            raise
        again = ", then continue by --resume" if hasattr(given, "resume") else ""
        print(f"kerassl: {line}{again}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("kerassl: stopped; what was finished is kept, --resume continues", file=sys.stderr)
        return 130


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    whole = _Parser(
        prog="kerassl",
        description="Pre-train a detector's backbone on unlabeled images, then train, score, explain and export "
        "the detector.",
    )
    whole.add_argument("--version", action="version", version=f"kerassl {__version__}")
    subparsers = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in COMMANDS:
        _module(name).add_parser(subparsers)
    return whole


def _module(command):
    return importlib.import_module(f"kerassl.cli.commands.{command.replace('-', '_')}")


def _full_disk(error: BaseException | None, out: str | None = None) -> str | None:
    """Return the line for an output that cannot be written, from the exception of any library; None for another."""
    while error is not None:
        for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            why = os.strerror(number)
            of_a_file = isinstance(error, OSError) or type(error).__module__.startswith("tensorflow")
            if of_a_file and (getattr(error, "errno", None) == number or why in str(error)):
                file = getattr(error, "filename", None) or out
                what = "an output" if file is None else printable(os.fsdecode(file))
                return f"{what} cannot be written ({why}); make room or choose another place"
        error = error.__cause__ or error.__context__
    return None


class _OneLine(logging.Formatter):
    """A message a line, whatever names of files and classes are in it."""

    def formatMessage(self, record):
        return printable(super().formatMessage(record))


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, as all others."""

    def error(self, message):
        found = re.fullmatch(r"argument ([^:]+): (.*)", message, re.DOTALL)
        advice = "" if found and found[2].startswith("is ") else f"; see {self.prog} --help"
        raise UserError(f"{found[1]} {found[2]}{advice}" if found else f"{message}{advice}")
