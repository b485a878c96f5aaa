"""The intrinsic dimension of features."""

from __future__ import annotations

import numpy as np

from kerassl._errors import UserError
from kerassl.features.point_cloud import nearest, point_cloud


def intrinsic_dimension(features: np.ndarray, discard: float = 0.1) -> float:
    """Estimate the dimension of the surface that points are on, by the two nearest neighbors of each (TwoNN).

    The ratio of the second nearest neighbor's distance to the nearest one's follows a Pareto law whose exponent is
    the dimension, wherever the density is about constant that near. The exponent is the slope of a line through the
    origin in the law's logarithms. Equal points count as one.

    Args:
        features: `[N, D]` array.
        discard: float in [0, 1). The share of the largest ratios that is left out of the fit: they stem from where
            the density changes.

    Returns:
        float. It falls short of dimensions above ten unless there are many thousands of points: compare it between
        models on the same images.

    Raises:
        UserError: if `discard` is no such share, or fewer than 12 points are different.

    Example:
        >>> kerassl.features.intrinsic_dimension(np.random.default_rng(0).normal(size=(3000, 5)))
        4.9

    Reference:
        Facco et al., "Estimating the intrinsic dimension of datasets by a minimal neighborhood information", 2017.
    """
    check_discard(discard)
    different = np.unique(point_cloud(features), axis=0)
    if len(different) < 12:
        raise UserError(f"{len(different)} of {len(features)} points are different; the dimension needs 12 or more")
    distances, _ = nearest(different, 2)
    ratios = np.sort(np.log(distances[:, 1] / distances[:, 0]))
    count = len(ratios)
    # Of the largest ratio the law's logarithm is infinite, so that it is left out always.
    kept = min(int(count * (1 - discard)), count - 1)
    if kept < 2:
        raise UserError(f"discard is {discard} of {count} points, which leaves nothing to fit; give less")
    law = -np.log1p(-np.arange(1, kept + 1) / count)
    ratios = ratios[:kept]
    if not ratios.any():
        raise UserError("every point is as far from its second neighbor as from its first; there is no dimension")
    return float(np.sum(law * ratios) / np.sum(np.square(ratios)))


def check_discard(discard: float) -> None:
    """Refuse what is no share of ratios to leave out."""
    if not 0 <= discard < 1:
        raise UserError(f"discard is {discard}; give the share of the largest ratios to leave out, 0 to below 1")
