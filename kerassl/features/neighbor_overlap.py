"""Overlap of nearest neighbors in two feature spaces."""

from __future__ import annotations

import numpy as np

from kerassl._errors import UserError
from kerassl.features.point_cloud import nearest


def neighbor_overlap(first: np.ndarray, second: np.ndarray, k: int = 10) -> float:
    """Compute the mean share of an image's `k` nearest images that two feature spaces have in common.

    Args:
        first, second: `[N, D]` and `[N, E]` arrays, row `i` of both from image `i`.
        k: int, at most `N - 1`.

    Returns:
        float in [0, 1]: 1 if all images have the same neighbors; spaces that have nothing to do with each other give
        `k / (N - 1)` in the mean.

    Raises:
        UserError: if the two are not of the same number of images, or of too few.

    Example:
        >>> kerassl.features.neighbor_overlap(features, 3 * features)
        1.0
    """
    if len(first) != len(second):
        raise UserError(f"there are features of {len(first)} and of {len(second)} images; give the same images")
    return shared(nearest(first, k)[1], nearest(second, k)[1])


def shared(first: np.ndarray, second: np.ndarray) -> float:
    """Return the mean share that the rows of two `[N, k]` int arrays of places have in common."""
    common = (first[:, :, None] == second[:, None, :]).any(axis=2)
    return float(np.mean(common))
