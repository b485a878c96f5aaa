"""What all stages of a run have in common."""

import contextlib
import json
import logging
import math
import sys
import time

from kerassl._errors import UserError
from kerassl._io import files as _files
from kerassl._io.arrays import reason
from kerassl._lazy import keras, tf

log = logging.getLogger("kerassl")

EVERY = 100
"""Steps between checkpoints."""


def prepare(config):
    """Sets seed and precision of the process, as the configuration says."""
    keras.utils.set_random_seed(config.seed)
    keras.mixed_precision.set_global_policy(config.precision)


def scope(network):
    """Return the scope of the distribution strategy that a `plan.Network` names."""
    if network.strategy == "none":
        return contextlib.nullcontext()
    return tf.distribute.MirroredStrategy(network.devices).scope()


def check_finite(history, stage):
    if not all(math.isfinite(loss) for loss in history.get("loss", [])):
        raise UserError(f"the loss of {stage} became NaN or infinite; lower its learning_rate in the configuration")


def verbosity():
    """1, a progress bar, on a terminal; 2, a line an epoch, in a file."""
    return 1 if sys.stdout.isatty() else 2


def write_json(path, content):
    """Write JSON of a run's own, whole."""
    with _files.whole(path, state=True) as part:
        part.write_text(json.dumps(content, indent=1, default=float) + "\n", encoding="utf-8")


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


class OutOfTimeError(Exception):
    """The limit is over and what was done is kept; something is left to do."""


class TimeLimit:
    """A number of minutes from now on.

    Args:
        minutes: float > 0, or None for no limit.

    Raises:
        UserError: if it is not above 0.
    """

    def __init__(self, minutes=None):
        if minutes is not None and not minutes > 0:
            raise UserError(f"--minutes is {minutes}; give a number above 0, as 55 for pieces of an hour")
        self._end = None if minutes is None else time.monotonic() + 60 * minutes

    def over(self):
        return self._end is not None and time.monotonic() >= self._end

    def check(self):
        """Raises `OutOfTimeError` if it is over: to be asked before the next piece of work."""
        if self.over():
            raise OutOfTimeError
