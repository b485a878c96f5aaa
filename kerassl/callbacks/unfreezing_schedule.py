"""Checks of an unfreezing schedule."""

from __future__ import annotations

from collections.abc import Mapping

from kerassl._errors import UserError
from kerassl.backbones.parts import STAGES, by_part


def check_unfreezing(schedule: Mapping[str, int | None]) -> dict[str, int | None]:
    """Check a schedule of unfreezing, which maps stages to epochs or None, and return it as a dict."""
    for part, epochs in schedule.items():
        if epochs is not None and (isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 0):
            raise UserError(f"{part} is to be frozen for {epochs!r} epochs; give a whole number, or None to the end")
    found = by_part(schedule, STAGES)
    return {stage: found[stage] for stage in STAGES if stage in found}
