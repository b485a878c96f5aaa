"""Centered kernel alignment (CKA): the similarity of two feature spaces of the same images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kerassl._errors import UserError
from kerassl.features.point_cloud import point_cloud


def linear_cka(first: np.ndarray, second: np.ndarray, *, debiased: bool = False) -> float:
    """Compute linear CKA: 1 if one feature space is the other turned, mirrored, moved or scaled as a whole.

    It is `|Y'X|² / (|X'X| |Y'Y|)` of centered features in Frobenius norms; for more dimensions than images the same is
    computed from the images' `N * N` inner products.

    Features of few images are alike by chance: with as many dimensions as images independent ones come out at about
    0.5. `debiased` takes unbiased estimates of all three terms, and independent features come out at 0 in the mean.

    Args:
        first, second: `[N, D]` and `[N, E]` arrays, row `i` of both from image `i`.
        debiased: bool.

    Returns:
        float in [0, 1]; debiased it may be a little below 0. nan if one of them does not vary.

    Raises:
        UserError: if the two are not of the same number of images, or of too few.

    Example:
        >>> kerassl.features.linear_cka(features, -2 * features)
        1.0

    Reference:
        Kornblith et al., "Similarity of Neural Network Representations Revisited", 2019. Song et al., "Feature
        Selection via Dependence Maximization", 2012 (the unbiased estimate).
    """
    first, second = _centered(first), _centered(second)
    if len(first) != len(second):
        raise UserError(f"there are features of {len(first)} and of {len(second)} images; give the same images")
    if debiased:
        return _ratio(_gram(first), _gram(second), _unbiased)
    if max(first.shape[1], second.shape[1]) < len(first):
        return _in_feature_space(first, second)
    return _ratio(_gram(first), _gram(second), _biased)


def cka_matrix(layers: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Compute linear CKA of each of several layers with each.

    Args:
        layers: list of `[N, D]` arrays, of the same images.

    Returns:
        Two `[n, n]` float64 arrays: as `linear_cka` gives it, and debiased.

    Raises:
        UserError: those of `linear_cka`.
    """
    if len({len(layer) for layer in layers}) > 1:
        raise UserError(f"there are features of {[len(layer) for layer in layers]} images; give the same images")
    grams = [_gram(_centered(layer)) for layer in layers]
    found = []
    for inner in (_biased, _unbiased):
        matrix = np.array([[inner(one, other) for other in grams] for one in grams])
        own = np.diag(matrix)
        scale = np.sqrt(np.maximum(np.outer(own, own), 0.0))
        found.append(np.divide(matrix, scale, out=np.full_like(matrix, np.nan), where=scale > 0))
    return tuple(found)


def _centered(features):
    features = point_cloud(features, 4)
    features = features - features.mean(axis=0)
    return features / (np.abs(features).max() or 1.0)


def _gram(features):
    return features @ features.T


def _in_feature_space(first, second):
    own, other = (np.linalg.norm(each.T @ each) for each in (first, second))
    return float(np.square(np.linalg.norm(second.T @ first)) / (own * other)) if own * other > 0 else float("nan")


def _ratio(first, second, inner):
    scale = inner(first, first) * inner(second, second)
    return float(inner(first, second) / np.sqrt(scale)) if scale > 0 else float("nan")


def _biased(first, second):
    return np.sum(first * second)


def _unbiased(first, second):
    count = len(first)
    rows, columns = first.sum(axis=1) - np.diag(first), second.sum(axis=1) - np.diag(second)
    trace = np.sum(first * second) - np.sum(np.diag(first) * np.diag(second))
    means = rows.sum() * columns.sum() / ((count - 1) * (count - 2))
    return (trace + means - 2 * rows @ columns / (count - 2)) / (count * (count - 3))
