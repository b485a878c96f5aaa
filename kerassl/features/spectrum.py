"""Effective rank and covariance spectrum of features."""

from __future__ import annotations

import numpy as np

from kerassl._errors import UserError
from kerassl.features.point_cloud import point_cloud
from kerassl.models import embedding_statistics


def effective_rank(features: np.ndarray) -> float:
    """Compute the effective rank: the exponential of the entropy of their singular values (RankMe).

    Nothing is taken off and no row is scaled here. Of rows of length 1 it is the `effective_rank` that
    `callbacks.CollapseMonitor` logs in pre-training; of centered features what all images have in common does not count
    as a direction.

    Args:
        features: `[N, D]` array.

    Returns:
        float from 1 to the lesser of N and D; 0 if all features are 0.

    Example:
        >>> kerassl.features.effective_rank(np.eye(5))
        5.0

    Reference:
        Garrido et al., "RankMe: Assessing the Downstream Performance of Pretrained Self-Supervised Representations by
        Their Rank", 2023, eq. 1.
    """
    singular = np.linalg.svd(point_cloud(features, 1), compute_uv=False)
    return float(embedding_statistics.effective_rank(singular)) if singular.any() else 0.0


def covariance_spectrum(features: np.ndarray) -> np.ndarray:
    """Compute the variances of features along their principal directions, falling.

    Args:
        features: `[N, D]` array.

    Returns:
        `[min(N - 1, D)]` float64 array, the eigenvalues of the covariance in units of their sum; zeros if nothing
        varies.
    """
    features = point_cloud(features, 2)
    centered = features - features.mean(axis=0)
    centered = centered / (np.abs(centered).max() or 1.0)
    values = np.square(np.linalg.svd(centered, compute_uv=False))[: min(len(features) - 1, features.shape[1])]
    return values / (values.sum() or 1.0)


def power_law_exponent(eigenvalues: np.ndarray, ranks: tuple[int, int]) -> float:
    """Fit the `a` of eigenvalues that fall as `1 / rank ** a`.

    A line is fitted to logarithms by least squares, each rank with the weight `1 / rank`, so that every octave of ranks
    counts alike; else the many small eigenvalues at the end would decide.

    Args:
        eigenvalues: `[n]` array, falling.
        ranks: (first, last), counted from 1, both of the range that is fitted.

    Returns:
        float. About 1 for well spread features; higher where few directions hold nearly all of the variance.

    Raises:
        UserError: if the range is not one of three or more positive eigenvalues.

    Example:
        >>> kerassl.features.power_law_exponent(1 / np.arange(1, 100) ** 1.5, (1, 99))
        1.5

    Reference:
        Agrawal et al., "alpha-ReQ: Assessing Representation Quality in Self-Supervised Learning by Measuring
        Eigenspectrum Decay", 2022.
    """
    eigenvalues = np.asarray(eigenvalues, np.float64)
    first, last = (int(rank) for rank in ranks)
    if not 1 <= first <= last - 2 or last > len(eigenvalues):
        raise UserError(
            f"ranks {first} to {last} are asked for of {len(eigenvalues)} eigenvalues; give (first, last), counted "
            "from 1, three or more"
        )
    values = eigenvalues[first - 1 : last]
    if values.min() <= 0:
        raise UserError(f"an eigenvalue of ranks {first} to {last} is 0; end the range before it")
    place = np.log(np.arange(first, last + 1))
    weights = np.exp(-place)
    place = place - np.average(place, weights=weights)
    return float(-np.sum(weights * place * np.log(values)) / np.sum(weights * np.square(place)))


def fitted_ranks(eigenvalues: np.ndarray, images: int) -> tuple[int, int] | None:
    """Return the ranks (first, last) that a power law can be fitted to, or None if fewer than five are left.

    The first two are left out, which are often outliers, and all beyond a quarter of the number of images, which depend
    on the sample as much as on the features.

    Args:
        eigenvalues: `[n]` array, falling, in units of their sum.
        images: Number of images.
    """
    last = min(int(np.sum(np.asarray(eigenvalues) > 1e-12)), images // 4)
    return (3, last) if last >= 7 else None
