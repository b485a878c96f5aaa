"""Levels of a backbone that a model learns at."""

from __future__ import annotations

from collections.abc import Sequence

from kerassl._errors import UserError
from kerassl.types import LEVELS


def check_levels(levels: str | Sequence[str]) -> tuple[str, ...]:
    """Return levels from fine to coarse; refuse unknown ones."""
    levels = [levels] if isinstance(levels, str) else list(levels)
    if not levels or len(set(levels)) < len(levels) or not set(levels) <= set(LEVELS):
        raise UserError(f"levels are {levels}; give one or more of {', '.join(LEVELS)}, each once")
    return tuple(level for level in LEVELS if level in levels)
