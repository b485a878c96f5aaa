"""Common to all stages of a run: devices, JSON files that are kept, and a limit of time."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import pathlib
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from kerassl._errors import UserError
from kerassl._io import files as _files
from kerassl._io.arrays import reason
from kerassl._lazy import keras, tf

if TYPE_CHECKING:
    from kerassl.config.config import Config
    from kerassl.runs.plan import Network

log = logging.getLogger("kerassl")

EVERY = 100
"""Steps between checkpoints."""


def prepare(config: Config) -> None:
    """Set the seed and the precision of the process."""
    keras.utils.set_random_seed(config.seed)
    keras.mixed_precision.set_global_policy(config.precision)


def scope(network: Network) -> contextlib.AbstractContextManager:
    """Return the scope of the distribution strategy that a `plan.Network` names."""
    if network.strategy == "none":
        return contextlib.nullcontext()
    return tf.distribute.MirroredStrategy(network.devices).scope()


def check_finite(history: Mapping[str, Sequence[float]], stage: str) -> None:
    """Refuse the logs of a training whose loss became NaN or infinite."""
    if not all(math.isfinite(loss) for loss in history.get("loss", [])):
        raise UserError(f"the loss of {stage} became NaN or infinite; lower its learning_rate in the configuration")


def verbosity() -> int:
    """Return Keras's `verbose`: 1, a progress bar, on a terminal; 2, a line an epoch, in a file."""
    return 1 if sys.stdout.isatty() else 2


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


class OutOfTimeError(Exception):
    """Raised when the limit is over and something is left to do; what was done is kept."""


class TimeLimit:
    """A number of minutes from now on.

    Args:
        minutes: Float > 0, or None for no limit.

    Raises:
        UserError: if it is not above 0.
    """

    def __init__(self, minutes: float | None = None) -> None:
        if minutes is not None and not minutes > 0:
            raise UserError(f"--minutes is {minutes}; give a number above 0, as 55 for pieces of an hour")
        self._end = None if minutes is None else time.monotonic() + 60 * minutes

    def over(self) -> bool:
        """Whether it is over."""
        return self._end is not None and time.monotonic() >= self._end

    def check(self) -> None:
        """Raise `OutOfTimeError` if it is over; to be called before the next piece of work."""
        if self.over():
            raise OutOfTimeError
