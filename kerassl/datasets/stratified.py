"""An order of images in which every beginning has the shares of classes of the whole."""

import collections

import numpy as np

_ONE = 2**20  # weights are whole numbers in units of this: every machine rounds them alike


def stratified_order(labels, length):
    """The first places of an order that keeps the shares of many classes at once.

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
