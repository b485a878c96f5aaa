"""Which feature maps of a backbone a localizer takes."""

from kerassl._errors import UserError
from kerassl.types import LEVELS

NECK_LEVELS = ("P4", "P5")
"""What a localizer's neck takes of a backbone's pyramid by default."""


def check_neck_levels(levels):
    """Refuses what no neck of a localizer can join.

    Args:
        levels: sequence of str: one level of the pyramid, or neighbors from the finest to the deepest.

    Returns:
        Tuple of them.

    Raises:
        UserError: in one line.
    """
    levels, names = tuple(levels), tuple(LEVELS)
    if levels not in [names[first:last] for first in range(len(names)) for last in range(first + 1, len(names) + 1)]:
        raise UserError(
            f"levels are [{', '.join(map(str, levels))}]; a localiser's neck takes one of {', '.join(names)}, or "
            "neighbours from the finest on, as [P3, P4]"
        )
    return levels
