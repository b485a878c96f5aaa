"""Reading JSON that other programs wrote."""

from __future__ import annotations

import json
import os
from typing import Any

from kerassl._errors import UserError
from kerassl._io.text import read_text

_MOST = 4_000_000_000  # bytes; the results of COCO's largest split are a twentieth of that


def read_json(path: str | os.PathLike, remedy: str, most: int = _MOST) -> Any:
    """Read a JSON file whose objects have every key once.

    Args:
        path: Path of the file.
        remedy: Advice if it cannot be read, for the message, as `"give a COCO results json"`.
        most: A longer file, in bytes, is refused unread.
    """
    text = read_text(path, remedy, most)
    try:
        return json.loads(text, object_pairs_hook=_once)
    except RecursionError:
        raise UserError(f"{path} is nested too deeply to be read; {remedy}") from None
    except ValueError as error:
        raise UserError(f"{path} is no whole json file ({str(error)[:200]}); {remedy}") from None


def _once(pairs):
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)[:80]!r} is there twice")
    return found
