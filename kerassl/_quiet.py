"""Keeps what TensorFlow's libraries say at their import off the terminal, and nothing else."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import warnings
from collections.abc import Iterator

# What absl prints before it is set up: information, warnings and errors of registering devices, but nothing fatal.
_NOISE = re.compile(rb"WARNING: All log messages before absl::|[IWE]\d{4} [\d:.]+\s+\d+ [\w./-]+:\d+\] ")
_DONE = b"\0"


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Drop known lines from what is written to the standard error's file descriptor while the block lasts.

    All other lines pass at once. Where the block fails, or the process dies within it, the known ones follow: one of
    them may be the reason. A process of its own filters, since nothing else outlives a crash.
    """
    try:
        sys.stderr.flush()
        kept = os.dup(2)
    except (AttributeError, OSError, ValueError):  # there is no such file, as in a window without a terminal
        yield
        return
    if not hasattr(os, "fork"):
        os.close(kept)
        yield
        return
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads; the child does nothing but read and write
        child = os.fork()
    if child == 0:
        try:
            os.close(writing)
            _filter(reading, kept)
        finally:
            os._exit(0)
    os.close(reading)
    os.dup2(writing, 2)
    os.close(writing)
    try:
        yield
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()
            os.write(2, _DONE)
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
        with contextlib.suppress(ChildProcessError):  # who ignores the ends of children has none to wait for
            os.waitpid(child, 0)


def _filter(reading, writing):
    dropped, rest = b"", b""
    while chunk := os.read(reading, 65536):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if _NOISE.match(line):
                dropped += line + b"\n"
            else:
                os.write(writing, line + b"\n")
        if rest.endswith(_DONE):  # not the end of the file: a process that the import began may keep it open
            rest, dropped = rest[:-1], b""
            break
    os.write(writing, rest + dropped)
