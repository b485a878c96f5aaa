"""JSON files in which a run keeps its state."""

from __future__ import annotations

import json
import logging
import pathlib

from kerassl._io import files as _files
from kerassl._io.arrays import reason

log = logging.getLogger("kerassl")


def write_json(path: pathlib.Path, content: object) -> None:
    """Write a JSON file of a run, whole."""
    with _files.whole(path, state=True) as part:
        part.write_text(json.dumps(content, indent=1, default=float) + "\n", encoding="utf-8")


def read_kept(path: pathlib.Path, *keys: str) -> dict | None:
    """Read a JSON file of a run.

    Args:
        path: `pathlib.Path`.
        *keys: Str, the keys that it must have.

    Returns:
        Dict, or None where there is no such file, or a damaged one, which is logged: its stage is then done again.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        missing = [key for key in keys if key not in content]
        if not isinstance(content, dict) or missing:
            raise ValueError(f"it holds no {missing[0]!r}" if missing else "it holds no keys")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, RecursionError) as error:
        log.warning("%s is damaged (%s); it is computed again", path, reason(error))
        return None
    return content
