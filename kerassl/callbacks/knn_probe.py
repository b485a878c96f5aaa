"""The nearest neighbors of images as a measure of features."""

from __future__ import annotations

import math
import os

import numpy as np

from kerassl._compat import tf
from kerassl._errors import UserError
from kerassl._numbers import COUNT
from kerassl.callbacks.probe import Probe


class KNNProbe(Probe):
    """Add `knn_top1` and `knn_top3` to the logs: how well the nearest labeled images tell an image's class.

    Nothing is trained. The `k` training images whose features have the highest cosine similarity `s` to the image's
    vote for their class, each with the weight `exp(s / temperature)`. With two classes there is no `knn_top3`.

    The figures depend on the weights and the images alone, and nothing of the training is touched: a run that is
    resumed gives the same figures, and a run with the probe the same weights as one without. Features that are not
    finite give nan. Put it before the callbacks that write logs.

    Args:
        train: folder with one sub-folder a class, as `datasets.labeled_folder` reads it.
        test: the same, of the same classes; or None to score one half of each class of `train` by the other.
        image_size: int. Side of the images in pixels, a multiple of 32; that of the views suits.
        k: int > 0. Neighbors that vote; no more than there are training images. 20 suits 40 images a class.
        temperature: float > 0. Lower gives the nearest more weight; 0.07 is usual.
        every: int > 0. Measure after every `every` epochs, and after the last.
        batch_size: int. Images that are embedded at once.
        seed: int. Of the halves, where `test` is None.

    Raises:
        UserError: if a folder is missing or unfit, the two hold different classes, or a number is out of range; when
            training begins, if the model has no `embed`.

    Example:
        >>> probe = kerassl.callbacks.KNNProbe("animals/train", "animals/test", image_size=96)
        >>> model.fit(images, epochs=100, callbacks=[probe, kerassl.callbacks.MetricsFile("metrics.jsonl")])

    Reference:
        Wu et al., "Unsupervised Feature Learning via Non-Parametric Instance Discrimination", 2018.
    """

    prefix = "knn"

    def __init__(
        self,
        train: str | os.PathLike,
        test: str | os.PathLike | None = None,
        *,
        image_size: int,
        k: int = 20,
        temperature: float = 0.07,
        every: int = 1,
        batch_size: int = 64,
        seed: int = 0,
    ) -> None:
        if not COUNT.fits(k):
            raise UserError(f"KNNProbe: k is {k}; give a whole number of neighbors above 0, as 20")
        if not (math.isfinite(temperature) and temperature > 0):
            raise UserError(f"KNNProbe: temperature is {temperature}; give a number above 0, as 0.07")
        super().__init__(train, test, image_size, every, batch_size, seed)
        self.k, self.temperature = int(k), float(temperature)

    def scores(self, train: np.ndarray, labels: np.ndarray, test: np.ndarray, count: int) -> np.ndarray:
        return knn_scores(train, labels, test, count, self.k, self.temperature)


def knn_scores(
    train: np.ndarray, labels: np.ndarray, test: np.ndarray, count: int, k: int, temperature: float
) -> np.ndarray:
    """Return weighted votes `[M, count]` float64 of the nearest neighbors.

    Each row is a multiple of the votes, its nearest neighbor's weight being 1, so that no temperature overflows.

    Args:
        train, labels: Features `[N, D]` float32 and classes `[N]` int to learn from.
        test: `[M, D]` float32 features.
        count: Number of classes.
        k: Neighbors; at most `N` count. Of equally near ones the first of `train` are taken.
        temperature: Float > 0.
    """
    train, test = _unit(train), _unit(test)
    scores = []
    for start in range(0, len(test), 1024):  # [1024, N] similarities at a time
        near, places = tf.math.top_k(tf.matmul(test[start : start + 1024], train, transpose_b=True), min(k, len(train)))
        scores.append(votes(near, tf.gather(labels, places), count, temperature))
    return tf.concat(scores, axis=0).numpy()


def votes(similarities: tf.Tensor, labels: tf.Tensor, count: int, temperature: float) -> tf.Tensor:
    """Return votes `[M, count]` of neighbors by their cosine similarities `[M, k]` float64 and labels `[M, k]` int."""
    weights = tf.exp((similarities - tf.reduce_max(similarities, axis=1, keepdims=True)) / temperature)
    return tf.einsum("mk,mkc->mc", weights, tf.one_hot(labels, count, dtype=tf.float64))


def _unit(features):
    # An untrained network's features may be as small as 1e-9 and nearly parallel: TensorFlow's own normalization
    # leaves such short rows as they are, and the angles drown in float32.
    features = tf.cast(features, tf.float64)
    return tf.math.divide_no_nan(features, tf.norm(features, axis=1, keepdims=True))
