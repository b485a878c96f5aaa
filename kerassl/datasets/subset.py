"""Seeded subsets of which the smaller lies in the larger."""

import collections.abc
import hashlib

from kerassl._errors import UserError
from kerassl._numbers import COUNT, SHARE_ABOVE_0, check, short
from kerassl.datasets.stratified import stratified_order


def subset(ids, *, fraction=None, count=None, seed=0, labels=None):
    """Chooses some of many names.

    Without `labels` the choice depends on the seed and on each name by itself (its hash). With them images of one
    set of classes follow each other in the order of their hashes, and the sets take turns so that every subset has as
    nearly as possible the shares of classes of the whole. Neither depends on the order of the names or the machine,
    and of one seed the smaller subset lies in the larger.

    Args:
        ids: sequence of different str.
        fraction: float in (0, 1] or None. Share to take, at least one.
        count: int or None. Number to take, instead of a fraction. Both None takes all.
        seed: int.
        labels: None, or the classes of each image: a mapping from id to an iterable of hashable classes, or a function
            that gives it. Asked only where not all are taken.

    Returns:
        Sorted list of str.

    Raises:
        UserError: if both are given, one is out of range, or there are fewer names than `count`.

    Example:
        >>> subset(["a", "b", "c"], count=2, labels={"a": {"dog"}, "b": {"dog"}, "c": {"cat"}})
        ['b', 'c']
    """
    if fraction is not None and count is not None:
        raise UserError(f"fraction {fraction} and count {count} are both given; give one of them")
    if fraction is not None:
        if not SHARE_ABOVE_0.fits(fraction):
            raise UserError(f"fraction is {fraction}; give a share above 0 and at most 1")
        count = max(1, round(fraction * len(ids)))
    if count is None:
        return sorted(ids)
    check(seed=seed)
    if not COUNT.fits(count) or count > len(ids):
        raise UserError(
            f"count is {short(count)}, but {len(ids)} images are there; give a whole number from 1 to {len(ids)}"
        )
    count = int(count)
    ranked = sorted(ids, key=lambda each: hashlib.sha256(f"{seed}:{each}".encode("utf-8", "surrogatepass")).digest())
    if labels is not None and count < len(ranked):
        look = labels.__getitem__ if isinstance(labels, collections.abc.Mapping) else labels
        ranked = [ranked[place] for place in stratified_order([look(each) for each in ranked], count)]
    return sorted(ranked[:count])
