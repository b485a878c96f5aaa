"""Separability of classes in feature space.

Two figures, neither of which trains anything: how often an image's neighbors have its class, which asks for no shape
of the classes, and how far apart the classes' centers are. The silhouette is left out: it asks every class to be one
compact cloud, and the figure for several sorts of one class would be below that for none.
"""

from __future__ import annotations

import numpy as np

from kerassl._errors import UserError
from kerassl.callbacks.knn_probe import votes
from kerassl.features.point_cloud import nearest, point_cloud, unit_rows


def knn_accuracy(features: np.ndarray, labels: np.ndarray, k: int = 10, temperature: float = 0.07) -> float:
    """Compute the accuracy of a leave-one-out kNN classifier.

    The `k` images of the highest cosine similarity `s` vote for their class with the weight `exp(s / temperature)`, as
    in `callbacks.KNNProbe`.

    Args:
        features: `[N, D]` array.
        labels: `[N]` int array, not negative.
        k: int, at most `N - 1`.
        temperature: float > 0.

    Returns:
        float in [0, 1]. Always saying the most frequent class gives that class's share.

    Raises:
        UserError: if there are not that many others, or labels do not fit.

    Example:
        >>> kerassl.features.knn_accuracy(features, labels)
        0.55

    Reference:
        Wu et al., "Unsupervised Feature Learning via Non-Parametric Instance Discrimination", 2018.
    """
    features, labels = _labeled(features, labels)
    units = unit_rows(features)
    _, places = nearest(units, k)
    cosines = np.einsum("nd,nkd->nk", units, units[places])
    found = votes(cosines, labels[places], int(labels.max()) + 1, temperature).numpy()
    return float(np.mean(found.argmax(axis=1) == labels))


def scatter_ratio(features: np.ndarray, labels: np.ndarray) -> float:
    """Compute the variance between classes over that within them, each by its degrees of freedom (Calinski-Harabasz).

    The plain ratio rises with the number of classes and falls with that of images whatever the features are; this one
    is 1 in the mean for labels that have nothing to do with the features.

    Args:
        features: `[N, D]` array.
        labels: `[N]` int array, not negative, of two classes or more, and more images than classes.

    Returns:
        float; about 1 for no separation, higher is better, inf if every class is one point.

    Raises:
        UserError: if labels do not fit.

    Example:
        >>> kerassl.features.scatter_ratio(features, labels)
        3.4

    Reference:
        Caliński and Harabasz, "A dendrite method for cluster analysis", 1974.
    """
    features, labels = _labeled(features, labels)
    found, labels = np.unique(labels, return_inverse=True)
    classes, count = len(found), len(labels)
    if not 2 <= classes < count:
        raise UserError(f"{count} images are of {classes} classes; give two classes or more, and more images than that")
    features = features - features.mean(axis=0)
    features = features / (np.abs(features).max() or 1.0)
    sums = np.zeros([classes, features.shape[1]])
    np.add.at(sums, labels, features)
    numbers = np.bincount(labels)
    centers = sums / numbers[:, None]
    between = np.sum(numbers[:, None] * np.square(centers)) / (classes - 1)
    within = np.sum(np.square(features - centers[labels])) / (count - classes)
    if within == 0:
        return float("inf") if between > 0 else 1.0
    return float(between / within)


def _labeled(features, labels):
    features, labels = point_cloud(features), np.asarray(labels)
    if labels.shape != (len(features),) or labels.dtype.kind not in "iu" or labels.min() < 0:
        raise UserError(f"labels are {labels.shape} {labels.dtype}; give a whole number from 0 on for each image")
    return features, labels
