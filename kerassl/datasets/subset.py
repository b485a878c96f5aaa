"""Seeded, stratified subsets that are nested."""

import collections
import collections.abc
import hashlib

import numpy as np

from kerassl._errors import UserError
from kerassl._numbers import COUNT, SHARE_ABOVE_0, check, short

_ONE = 2**20  # weights are whole numbers in units of this: every machine rounds them alike


def subset(ids, *, fraction=None, count=None, seed=0, labels=None):
    """Choose some of many names.

    Without `labels` the choice depends on the seed and the hash of each name. With them images of one
    set of classes follow each other in the order of their hashes, and the sets take turns so that every subset has as
    nearly as possible the shares of classes of the whole. Neither depends on the order of the names or the machine,
    and subsets of one seed are nested.

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
    return sorted(choose(ids, int(count), seed, labels))


def choose(ids, count, key, labels=None):
    """Choose by hashes of names.

    Args:
        ids: sequence of different str.
        count: int, at most as many.
        key: mixed into the hashes.
        labels: see `subset`.

    Returns:
        List of str. Shorter ones of the same key are the beginnings of longer ones.
    """
    ranked = sorted(ids, key=lambda each: hashlib.sha256(f"{key}:{each}".encode("utf-8", "surrogatepass")).digest())
    if labels is not None and count < len(ranked):
        look = labels.__getitem__ if isinstance(labels, collections.abc.Mapping) else labels
        ranked = [ranked[place] for place in stratified_order([look(each) for each in ranked], count)]
    return ranked[:count]


def choose_groups(groups, count, key, labels):
    """Choose whole groups of names by hashes, as nearly as possible of so many names together.

    Args:
        groups: dict from the name of each group to the list of its members.
        count: int, the number of members wanted.
        key: see `choose`.
        labels: mapping from member to an iterable of hashable classes.

    Returns:
        List of members, of one group or more, but never of all groups.
    """
    held = {group: set().union(*(labels[each] for each in members)) for group, members in groups.items()}
    ranked = choose(list(groups), len(groups) - 1, key, held)
    chosen = []
    for group in ranked:
        if len(chosen) + len(groups[group]) / 2 <= count:
            chosen += groups[group]
    return chosen or list(min((groups[group] for group in ranked), key=len, default=[]))


def stratified_order(labels, length):
    """Return the first places of an order that keeps the shares of many classes at once.

    Image after image is chosen so that the chi-square distance between the classes of those chosen and of all is
    least. Where as many classes are still missing as there are images left among the first C (the number of classes),
    one is taken that brings a missing class: C images hold all C. Images without a class count as a class of their
    own, which need not come among the first.

    Args:
        labels: sequence of iterables of hashable classes, one an image; of equal ones the earlier is taken first.
        length: int. How many places are wanted; each takes time in proportion to the different sets of classes.

    Returns:
        List of int, different places in `labels`. Shorter ones of the same labels are the beginnings of longer ones.

    Reference:
        Sechidis et al., "On the Stratification of Multi-label Data", 2011, whose rarest-first choice becomes an order.
    """
    waiting = collections.defaultdict(collections.deque)
    for place, each in enumerate(labels):
        waiting[frozenset(each)].append(place)
    # By their first image and not by their names: the names' order in a set differs between processes.
    groups = sorted(waiting, key=lambda group: waiting[group][0])
    queues = [waiting[group] for group in groups]
    numbers = {}
    for group in groups:
        for name in group:
            numbers.setdefault(name, len(numbers))
    empty = len(numbers)  # the number of having no class
    members = [np.array(sorted(numbers[name] for name in group) or [empty]) for group in groups]
    flat = np.concatenate(members)
    starts = np.cumsum([0] + [len(each) for each in members])[:-1]
    totals = np.zeros(empty + 1, np.int64)
    np.add.at(totals, flat, np.repeat([len(queue) for queue in queues], [len(each) for each in members]))
    weights = np.maximum(_ONE // np.maximum(totals, 1), 1)
    heads = np.array([queue[0] for queue in queues], np.int64)
    taken, missing = np.zeros_like(totals), totals > 0
    missing[empty] = False
    count, none = len(labels), np.iinfo(np.int64).max
    chosen = []
    while len(chosen) < min(length, count):
        # How far each class lags behind its share, times the number of images; what a class costs falls with it.
        lag = totals * (len(chosen) + 1) - taken * count
        score = np.add.reduceat(((count - 2 * lag) * weights)[flat], starts)
        score[heads == none] = none
        if missing.sum() >= empty - len(chosen) > 0:
            brings = np.logical_or.reduceat(missing[flat], starts)
            score[~brings] = none
        best = np.flatnonzero(score == score.min())
        group = best[np.argmin(heads[best])]
        chosen.append(queues[group].popleft())
        heads[group] = queues[group][0] if queues[group] else none
        taken[members[group]] += 1
        missing[members[group]] = False
    return chosen
