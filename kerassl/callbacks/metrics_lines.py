"""The lines that `MetricsFile` writes, read without TensorFlow."""

from __future__ import annotations

import json
import logging
import os
import pathlib

log = logging.getLogger("kerassl")


def read_metrics(path: str | os.PathLike) -> list[dict]:
    """Read the lines of a file that `MetricsFile` wrote; damaged ones are left out and counted in the log."""
    lines = [line for line in pathlib.Path(path).read_bytes().split(b"\n") if line.strip()]
    found = [line for line in map(parsed, lines) if line is not None and {"kind", "stage", "epoch"} <= line.keys()]
    if len(found) < len(lines):
        log.warning("%d of %d lines of %s are damaged; they are left out", len(lines) - len(found), len(lines), path)
    return found


def parsed(line: str | bytes) -> dict | None:
    """A line's content, or None where it is no whole line."""
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None
