"""What a stage of a run left in JSON, read again when the run is resumed."""

import json
import logging

from kerassl._io.arrays import reason

log = logging.getLogger("kerassl")


def read_kept(path, *keys):
    """Read a JSON file of a run's own.

    Args:
        path: `pathlib.Path`.
        *keys: str. What it must hold.

    Returns:
        Dict, or None where there is no such file, or one that is damaged, with a line in the log: its stage is then
        done again.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        missing = [key for key in keys if key not in content]
        if not isinstance(content, dict) or missing:
            raise ValueError(f"it holds no {missing[0]!r}" if missing else "it holds no keys")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, RecursionError) as error:
        log.warning("%s is damaged (%s); what it says is computed again", path, reason(error))
        return None
    return content
