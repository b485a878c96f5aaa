"""A linear classifier as a measure of features."""

from __future__ import annotations

import math
import os

import numpy as np

from kerassl._compat import tf
from kerassl._errors import UserError
from kerassl.callbacks.probe import Probe


class LinearProbe(Probe):
    """Add `linear_top1` and `linear_top3` to the logs: how well a linear classifier on frozen features does.

    A multinomial logistic regression is fitted to all training images at once, until it has converged: it has no
    learning rate and draws nothing. With two classes there is no `linear_top3`.

    As `KNNProbe` it is reproducible, changes nothing in training, and goes before the callbacks that write logs.

    Args:
        train, test, image_size, every, batch_size, seed: those of `KNNProbe`.
        l2: float > 0. Half of it times the squared norm of the weights is added to the mean cross-entropy, features
            being standardized and divided by the square root of their number. 1e-4 to 1e-2 suits some 40 images a
            class.

    Raises:
        UserError: as `KNNProbe`.

    Example:
        >>> probe = kerassl.callbacks.LinearProbe("animals/train", "animals/test", image_size=96, every=5)
        >>> model.fit(images, epochs=100, callbacks=[probe, kerassl.callbacks.MetricsFile("metrics.jsonl")])
    """

    prefix = "linear"

    def __init__(
        self,
        train: str | os.PathLike,
        test: str | os.PathLike | None = None,
        *,
        image_size: int,
        l2: float = 1e-3,
        every: int = 1,
        batch_size: int = 64,
        seed: int = 0,
    ) -> None:
        if not (math.isfinite(l2) and l2 > 0):
            raise UserError(f"LinearProbe: l2 is {l2}; give a number above 0, as 1e-3")
        super().__init__(train, test, image_size, every, batch_size, seed)
        self.l2 = float(l2)

    def scores(self, train: np.ndarray, labels: np.ndarray, test: np.ndarray, count: int) -> np.ndarray:
        return linear_scores(train, labels, test, count, self.l2)


def linear_scores(train: np.ndarray, labels: np.ndarray, test: np.ndarray, count: int, l2: float) -> np.ndarray:
    """Return logits `[M, count]` float64 of a multinomial logistic regression; the biases are not penalized.

    Args:
        train, labels: Features `[N, D]` float32 and classes `[N]` int to learn from.
        test: `[M, D]` float32 features.
        count: Number of classes.
        l2: As of `LinearProbe`.
    """
    train, test = tf.cast(train, tf.float64), tf.cast(test, tf.float64)
    mean, deviation = tf.reduce_mean(train, axis=0), tf.math.reduce_std(train, axis=0)
    # A feature that hardly varies would be nothing but rounding once it is standardized.
    varies = deviation > 1e-6 * tf.reduce_max(deviation)
    scale = tf.where(varies, tf.math.divide_no_nan(tf.ones_like(mean), deviation), 0.0)
    scale /= math.sqrt(train.shape[1])
    train, test = (train - mean) * scale, (test - mean) * scale
    axes = _axes(train)
    weights, biases = _fit(train @ axes, tf.one_hot(labels, count, dtype=tf.float64), tf.constant(l2, tf.float64))
    return (test @ axes @ weights + biases).numpy()


def _axes(features):
    """The principal axes `[D, R]`: on them the penalty is the same, and there are at most as many as images."""
    count, size = features.shape
    if size <= count:
        squares, axes = tf.linalg.eigh(tf.matmul(features, features, transpose_a=True))
        return tf.boolean_mask(axes, squares > 1e-10 * squares[-1], axis=1)
    squares, sides = tf.linalg.eigh(tf.matmul(features, features, transpose_b=True))
    kept = squares > 1e-10 * squares[-1]
    axes = tf.matmul(features, tf.boolean_mask(sides, kept, axis=1), transpose_a=True)
    return axes / tf.sqrt(tf.boolean_mask(squares, kept))


@tf.function(reduce_retracing=True)
def _fit(features, targets, l2):
    """Minimize mean cross-entropy plus penalty by accelerated descent.

    No second derivative of the cross-entropy in the logits exceeds 1/2 (Böhning, 1992), and the principal components
    are uncorrelated: so the whole curvature is bounded by one number a component, and no step size is to be sought.
    """
    count = tf.cast(tf.shape(features)[0], tf.float64)
    bound = tf.reduce_sum(features**2, axis=0)[:, None] / (2 * count) + l2  # [R, 1]
    weights = tf.zeros([tf.shape(features)[1], tf.shape(targets)[1]], tf.float64)
    biases = tf.zeros([1, tf.shape(targets)[1]], tf.float64)

    def step(number, weights, biases, ahead, ahead_biases, age, error):
        wrong = (tf.nn.softmax(features @ ahead + ahead_biases) - targets) / count
        slope = tf.matmul(features, wrong, transpose_a=True) + l2 * ahead
        slope_biases = tf.reduce_sum(wrong, axis=0, keepdims=True)
        new, new_biases = ahead - slope / bound, ahead_biases - slope_biases / 0.5
        move, move_biases = new - weights, new_biases - biases
        # Momentum that leads uphill is dropped (O'Donoghue and Candès, 2015).
        uphill = tf.reduce_sum(slope * move) + tf.reduce_sum(slope_biases * move_biases) > 0
        age = tf.where(uphill, tf.constant(0.0, tf.float64), age + 1)
        share = age / (age + 3)
        error = tf.sqrt(tf.reduce_sum(slope**2 / bound) + 2 * tf.reduce_sum(slope_biases**2))
        return number + 1, new, new_biases, new + share * move, new_biases + share * move_biases, age, error

    def unfinished(number, weights, biases, ahead, ahead_biases, age, error):
        return tf.logical_and(number < 5000, error > 1e-7)

    start = (0, weights, biases, weights, biases, tf.constant(0.0, tf.float64), tf.constant(1.0, tf.float64))
    _, weights, biases, *_ = tf.while_loop(unfinished, step, start)
    return weights, biases
