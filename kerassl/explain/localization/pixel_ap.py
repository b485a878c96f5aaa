"""Average precision of pixels."""

from __future__ import annotations

import numpy as np


def pixel_ap(counts: np.ndarray) -> float:
    """Compute the average precision of pixels: the sum over thresholds of precision times the gain of recall.

    Args:
        counts: `[2, K]` int array: how many pixels outside and inside objects have each value, by rising value.

    Returns:
        float in [0, 1]; nan without a pixel of an object.
    """
    outside, inside = (np.cumsum(row[::-1], dtype=float) for row in counts)
    if not inside[-1]:
        return float("nan")
    precision = np.divide(inside, inside + outside, out=np.ones_like(inside), where=inside + outside > 0)
    return float(np.sum(np.diff(inside, prepend=0.0) / inside[-1] * precision))
