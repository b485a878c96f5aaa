"""Levels of a backbone that a localizer's neck takes."""

from __future__ import annotations

from collections.abc import Sequence

from kerassl._errors import UserError
from kerassl.types import LEVELS

NECK_LEVELS = ("P4", "P5")
"""The default levels."""


def check_neck_levels(levels: Sequence[str]) -> tuple[str, ...]:
    """Return the levels of a localizer's neck as a tuple: one, or adjacent ones from the finest to the deepest."""
    levels, names = tuple(levels), tuple(LEVELS)
    if levels not in [names[first:last] for first in range(len(names)) for last in range(first + 1, len(names) + 1)]:
        raise UserError(
            f"levels are [{', '.join(map(str, levels))}]; a localizer's neck takes one of {', '.join(names)}, or "
            "adjacent ones from the finest on, as [P3, P4]"
        )
    return levels
