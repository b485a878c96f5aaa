"""Seeded subsets of which the smaller lies in the larger."""

import hashlib

from kerassl._errors import UserError


def subset(ids, *, fraction=None, count=None, seed=0):
    """Chooses some of many names.

    The choice depends on the seed and on each name by itself (its hash), not on their order or the machine.

    Args:
        ids: sequence of different str.
        fraction: float in (0, 1] or None. Share to take, at least one.
        count: int or None. Number to take, instead of a fraction. Both None takes all.
        seed: int.

    Returns:
        Sorted list of str.

    Raises:
        UserError: if both are given, one is out of range, or there are fewer names than `count`.
    """
    if fraction is not None and count is not None:
        raise UserError(f"fraction {fraction} and count {count} are both given; give one of them")
    if fraction is not None:
        if not 0 < fraction <= 1:
            raise UserError(f"fraction is {fraction}; give a share above 0 and at most 1")
        count = max(1, round(fraction * len(ids)))
    if count is None:
        return sorted(ids)
    if count != int(count) or not 1 <= count <= len(ids):
        raise UserError(f"count is {count}, but {len(ids)} images are there; give a whole number from 1 to {len(ids)}")
    ranked = sorted(ids, key=lambda each: hashlib.sha256(f"{seed}:{each}".encode()).digest())
    return sorted(ranked[: int(count)])
