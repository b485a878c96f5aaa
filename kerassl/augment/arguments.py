"""Checks that augmentations have in common."""

from __future__ import annotations

from collections.abc import Sequence

from kerassl._errors import UserError
from kerassl._numbers import ABOVE_0, SHARE


def check_range(name: str, value: Sequence[float], highest: float = float("inf")) -> tuple[float, float]:
    """Return a range (lowest, highest) of numbers above 0, at most `highest`, as floats, or refuse it."""
    if len(value) != 2 or not all(ABOVE_0.fits(end) for end in value):
        raise UserError(f"{name} is {value}; give (lowest, highest), both above 0, in this order")
    low, high = (float(end) for end in value)
    if not 0 < low <= high <= highest:
        bound = f" and at most {highest:g}" if highest != float("inf") else ""
        raise UserError(f"{name} is ({low:g}, {high:g}); give (lowest, highest), both above 0{bound}, in this order")
    return low, high


def check_probability(name: str, value: float) -> float:
    """Return a probability as float, or refuse it."""
    if not SHARE.fits(value):
        raise UserError(f"{name} is {value}; it is a probability: give a number from 0 to 1")
    return float(value)
