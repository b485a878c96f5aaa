"""Alignment of views, and uniformity of images on the sphere."""

from __future__ import annotations

import numpy as np

from kerassl._errors import UserError
from kerassl.features.point_cloud import point_cloud, unit_rows
from kerassl.models import embedding_statistics


def alignment(first: np.ndarray, second: np.ndarray) -> float:
    """Compute the mean squared distance of two views of an image on the unit sphere.

    Args:
        first, second: `[N, D]` arrays, row `i` of both from image `i`. Rows are brought to length 1.

    Returns:
        float in [0, 4]: 0 if both views of every image are one point, 2 if they are at right angles.

    Raises:
        UserError: if the two do not fit together.

    Example:
        >>> kerassl.features.alignment(features, features)
        0.0

    Reference:
        Wang and Isola, "Understanding Contrastive Representation Learning through Alignment and Uniformity on the
        Hypersphere", 2020.
    """
    first, second = point_cloud(first, 1), point_cloud(second, 1)
    if first.shape != second.shape:
        raise UserError(f"the views are {first.shape} and {second.shape}; give two of one shape, a row an image")
    return float(embedding_statistics.alignment(unit_rows(first), unit_rows(second)))


def uniformity(features: np.ndarray) -> float:
    """Compute the logarithm of the mean of `exp(-2 d²)` over all pairs of different rows, for their distance `d`.

    Args:
        features: `[N, D]` array. Rows are brought to length 1.

    Returns:
        float, at most 0: 0 if all are one point, about -4 if they fill a large sphere evenly. Lower is more even.

    Raises:
        UserError: if there are fewer than two rows.

    Example:
        >>> kerassl.features.uniformity(np.random.default_rng(0).normal(size=(1000, 128)))
        -3.94

    Reference:
        That of `alignment`.
    """
    return float(embedding_statistics.uniformity(unit_rows(point_cloud(features, 2))))
