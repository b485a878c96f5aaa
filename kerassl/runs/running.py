"""Common to all stages of a run: devices, and a limit of time."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kerassl._errors import UserError
from kerassl._lazy import keras, tf

if TYPE_CHECKING:
    from kerassl.config.config import Config
    from kerassl.runs.plan.stages import Network

log = logging.getLogger("kerassl")

CHECKPOINTS: dict[str, Any] = {"every": 100, "seconds": 10}
"""How many steps, and seconds at least, there are between checkpoints: the arguments of `callbacks.Resume`."""


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
