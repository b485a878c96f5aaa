"""Share of images whose class is among the highest logits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kerassl._errors import UserError


def topk(logits: np.ndarray, labels: np.ndarray, k: int | Sequence[int] = (1, 3)) -> dict[str, float]:
    """Compute the share of images whose label is among the `k` highest logits.

    Of equal logits the first class counts as the higher one, as in `argmax`.

    Args:
        logits: `[N, C]` array; probabilities serve as well.
        labels: `[N]` array of int in [0, C).
        k: int or tuple of int, each from 1 to C.

    Returns:
        Dict of floats by name, as `{"top1": 0.5, "top3": 0.8}`.

    Raises:
        UserError: if shapes do not fit, there is no image, a label is beyond the classes or `k` is.

    Example:
        >>> kerassl.metrics.topk([[0.1, 0.9, 0.5]], [2])
        {'top1': 0.0, 'top3': 1.0}
    """
    logits, labels = np.asarray(logits, np.float64), np.asarray(labels)
    ranks = (k,) if isinstance(k, (int, np.integer)) else tuple(k)
    if logits.ndim != 2 or labels.shape != logits.shape[:1] or not len(labels):
        raise UserError(f"logits are {logits.shape} and labels {labels.shape}; give [N, C] and [N] with N above 0")
    count = logits.shape[1]
    if labels.min() < 0 or labels.max() >= count:
        raise UserError(f"labels run from {labels.min()} to {labels.max()}, but there are {count} classes")
    if not all(1 <= one <= count for one in ranks):
        raise UserError(f"k is {k}; give numbers from 1 to the number of classes, {count}")
    if not np.isfinite(logits).all():
        raise UserError("a logit is not a finite number; the model may have diverged")
    rank = label_ranks(logits, labels)
    return {f"top{one}": float(np.mean(rank < one)) for one in ranks}


def label_ranks(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Count the classes that rank before each image's own: `[N]` int, from logits `[N, C]` and labels `[N]`."""
    logits, labels = np.asarray(logits, np.float64), np.asarray(labels)
    own = np.take_along_axis(logits, labels[:, None].astype(np.int64), axis=1)
    before = (logits > own) | ((logits == own) & (np.arange(logits.shape[1]) < labels[:, None]))
    return before.sum(axis=1)
