"""For how many epochs which stages of a backbone are frozen."""

from kerassl._errors import UserError
from kerassl.backbones.parts import STAGES, by_part


def check_thaw(schedule):
    """Refuses what is no schedule.

    Args:
        schedule: as `Thaw` takes it.

    Returns:
        Dict from stages to int or None.

    Raises:
        UserError: see `Thaw`.
    """
    for part, epochs in schedule.items():
        if epochs is not None and (isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 0):
            raise UserError(f"{part} is to be frozen for {epochs!r} epochs; give a whole number, or None to the end")
    found = by_part(schedule, STAGES)
    return {stage: found[stage] for stage in STAGES if stage in found}
