"""Ranges of numbers, the same for flags, arguments and settings."""

from __future__ import annotations

import dataclasses
import math
import numbers
from typing import Any

from kerassl._errors import UserError

_MOST = 2**31 - 1  # what TensorFlow counts with


@dataclasses.dataclass(frozen=True)
class Number:
    """A range of accepted numbers.

    Attributes:
        whole: bool. Whether only integers are.
        low, high: the range, both ends included.
        above: bool. Whether `low` itself is excluded.
        advice: str, a sane choice.
    """

    whole: bool
    low: float
    high: float
    above: bool = False
    advice: str = ""

    def __call__(self, value: Any) -> Any:
        """The number that `value` is.

        Raises:
            ValueError: with what is accepted, if it is none or out of range.
        """
        read = self._read(value)
        if read is None or not self.low <= read <= self.high or (self.above and read == self.low):
            raise ValueError(self.accepted)
        return read

    def fits(self, value: Any) -> bool:
        """Whether `value` is such a number."""
        try:
            self(value)
        except ValueError:
            return False
        return True

    @property
    def accepted(self) -> str:
        """Return the accepted values, as advice."""
        if self.low == -math.inf:
            return "give a finite number"
        kind = "a whole number" if self.whole else "a number"
        start = f"{'above' if self.above else 'from'} {self.low:g}"
        if self.high in (_MOST, math.inf):
            end = "" if self.above else " up"
        else:
            high = self.high if self.whole else format(self.high, "g")
            end = f" and at most {high}" if self.above else f" to {high}"
        return f"give {kind} {start}{end}{self.advice and f', {self.advice}'}"

    def _read(self, value):
        if isinstance(value, str):  # of a command line, or YAML's 1e-3
            try:
                value = int(value) if self.whole else float(value)
            except ValueError:
                return None
        if not isinstance(value, numbers.Real) or isinstance(value, bool) or type(value).__name__ == "bool_":
            return None
        try:
            real = float(value)
        except OverflowError:
            return None
        if not math.isfinite(real):
            return None
        if not self.whole:
            return real
        return int(value) if real == int(real) else None


COUNT = Number(True, 1, _MOST)
COUNT_OR_NONE = Number(True, 0, _MOST)
ABOVE_0 = Number(False, 0, math.inf, above=True)
FROM_0 = Number(False, 0, math.inf)
FROM_1 = Number(False, 1, math.inf)
SHARE = Number(False, 0, 1)
SHARE_ABOVE_0 = Number(False, 0, 1, above=True)
SHARE_BELOW_1 = Number(False, 0, 1 - 2**-53, advice="and below 1")
SHARE_HELD_OUT = Number(False, 0, 0.9, above=True)
SEED = Number(True, 0, 2**32 - 1)
QUALITY = Number(True, 1, 100)
REAL = Number(False, -math.inf, math.inf)

_BY_NAME = {
    "seed": SEED,
    "quality": QUALITY,
    **dict.fromkeys(("score_threshold", "iou_threshold"), SHARE),
    **dict.fromkeys(("temperature", "learning_rate"), ABOVE_0),
    **dict.fromkeys(
        ("batch_size", "count", "epochs", "every", "k", "max_detections", "max_pixels", "per_shard", "sample", "width",
         "workers", "resamples"), COUNT
    ),
    **dict.fromkeys(("drawn", "insertion", "steps"), COUNT_OR_NONE),
}  # fmt: skip


def check(**arguments: Any) -> Any:
    """Check numbers by the names of the arguments; None is accepted.

    Returns:
        The number, where there is one argument; else a list of them.

    Example:
        >>> seed = check(seed=seed)
    """
    found = []
    for name, value in arguments.items():
        try:
            found.append(None if value is None else _BY_NAME[name](value))
        except ValueError as error:
            raise UserError(f"{name} is {short(value)}; {error}") from None
    return found[0] if len(found) == 1 else found


def short(value: Any) -> str:
    """A value as it is written, cut where it is long."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no integers of more than 4,300 digits
        text = "a number of thousands of digits"
    return text if len(text) <= 80 else f"{text[:77]}…"
