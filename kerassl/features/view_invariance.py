"""Invariance of embeddings to changes of the image."""

from __future__ import annotations

import numpy as np

from kerassl._errors import UserError
from kerassl.features.point_cloud import point_cloud, unit_rows


def view_invariance(plain: np.ndarray, changed: np.ndarray) -> float:
    """Compute how near embeddings of changed images stay, relative to the distance of different images.

    The mean of all plain embeddings is taken off both. With `s` the mean cosine similarity of an image to itself
    changed, and `u` that of two different plain images, it is `(s - u) / (1 - u)`.

    Args:
        plain, changed: `[N, D]` arrays, row `i` of both from image `i`.

    Returns:
        float, at most 1: 1 if the change is not seen at all, 0 if a changed image is as far from itself as any other
        image is, below 0 if it is farther. nan if all plain images have one embedding.

    Raises:
        UserError: if the two do not fit together.

    Example:
        >>> kerassl.features.view_invariance(features, features)
        1.0
    """
    plain, changed = point_cloud(plain, 3), point_cloud(changed, 3)
    if plain.shape != changed.shape:
        raise UserError(f"embeddings are {plain.shape} and changed {changed.shape}; give two of one shape")
    mean = plain.mean(axis=0)
    plain, changed = unit_rows(plain - mean), unit_rows(changed - mean)
    if not plain.any():
        return float("nan")
    count = len(plain)
    alike = np.mean(np.sum(plain * changed, axis=1))
    # The sum over all pairs is the square of the sum; each row with itself is taken off.
    unlike = (np.sum(np.square(plain.sum(axis=0))) - np.sum(np.square(plain))) / (count * (count - 1))
    return float((alike - unlike) / (1 - unlike))
