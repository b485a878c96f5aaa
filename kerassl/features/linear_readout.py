"""Linear readout of features."""

from __future__ import annotations

import numpy as np

from kerassl._errors import UserError
from kerassl._numbers import check
from kerassl.features.point_cloud import point_cloud

_CHUNK = 4096  # dimensions that are held as float64 at once
_PENALTIES = 10.0 ** np.arange(-4, 4.5, 0.5)  # in units of the mean eigenvalue of the features' inner products


def linear_readout(features: np.ndarray, targets: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Compute R² of a ridge regression from features, on images that it was not fitted to.

    Images are split in halves. A map is fitted to each half in closed form and judged on the other. Features are
    standardized by the fitted half, a deviation counting as at least a tenth of all dimensions' root mean square. The
    penalty is that of 17 with the least error in the fitted half, each image left out once, for each target by itself.

    Args:
        features: `[N, …]` array; more axes are flattened.
        targets: `[N, T]` array.
        seed: int, of the halves.

    Returns:
        `[T]` float64 array, R² of both held-out halves together: 1 for a perfect readout, 0 for that of the mean,
        below 0 if what was learned in one half misleads in the other. nan where a target does not vary.

    Raises:
        UserError: if features and targets are not of the same images, or of fewer than eight.

    Example:
        >>> kerassl.features.linear_readout(maps, centers)
        array([0.51, 0.42])

    Reference:
        Hastie et al., "The Elements of Statistical Learning", 2009, 3.4.1 and 7.10 (ridge, leaving one out).
    """
    targets = point_cloud(targets, 8)
    features = np.asarray(features).reshape(len(features), -1)
    if len(features) != len(targets):
        raise UserError(f"there are features of {len(features)} images and targets of {len(targets)}; give the same")
    if not np.isfinite(features).all():
        raise UserError("some features are nan or infinite; the network that made them is broken")
    check(seed=seed)
    order = np.random.default_rng(seed).permutation(len(features))
    halves = order[: len(order) // 2], order[len(order) // 2 :]
    missed, varied = np.zeros(targets.shape[1]), np.zeros(targets.shape[1])
    for fitted, held in (halves, halves[::-1]):
        gram = _gram(features, fitted)
        mean = targets[fitted].mean(axis=0)
        weights = _fit(gram[np.ix_(fitted, fitted)], targets[fitted] - mean)
        predicted = mean + gram[np.ix_(held, fitted)] @ weights
        missed = missed + np.square(targets[held] - predicted).sum(axis=0)
        varied = varied + np.square(targets[held] - targets[held].mean(axis=0)).sum(axis=0)
    return 1.0 - np.divide(missed, varied, out=np.full(len(varied), np.nan), where=varied > 0)


def _gram(features, fitted):
    """Inner products of all images, standardized by some; about 1 each with itself."""
    deviation = features[fitted].std(axis=0, dtype=np.float64)
    unit = deviation.max() or 1.0  # random networks' features are so small that their squares are 0
    deviation = np.maximum(deviation, 0.1 * unit * np.sqrt(np.mean(np.square(deviation / unit)))) / unit
    deviation = np.where(deviation > 0, deviation, 1.0)
    gram = np.zeros([len(features)] * 2)
    for start in range(0, features.shape[1], _CHUNK):
        some = features[:, start : start + _CHUNK].astype(np.float64)
        some = (some - some[fitted].mean(axis=0)) / unit / deviation[start : start + _CHUNK]
        gram += some @ some.T
    return gram / features.shape[1]


def _fit(gram, targets):
    """Weights of the images, for each target with the penalty of the least error of images left out."""
    values, vectors = np.linalg.eigh(gram)
    values = np.maximum(values, 0.0)
    turned = vectors.T @ targets
    best, weights = np.full(targets.shape[1], np.inf), np.zeros_like(targets)
    for penalty in _PENALTIES * (values.mean() or 1.0):
        shrunk = values / (values + penalty)
        # The mean, which is fitted too, gives each image a lever of one in all.
        levers = np.square(vectors) @ shrunk + 1.0 / len(gram)
        error = np.square((targets - vectors @ (shrunk[:, None] * turned)) / (1.0 - levers)[:, None]).sum(axis=0)
        own = vectors @ (turned / (values + penalty)[:, None])
        weights = np.where(error < best, own, weights)
        best = np.minimum(error, best)
    return weights
