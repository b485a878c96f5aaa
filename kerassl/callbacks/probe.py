"""Base class of the probes of frozen features."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from kerassl._compat import keras, tf
from kerassl._errors import UserError
from kerassl._graphs import graph_of
from kerassl._numbers import COUNT, check
from kerassl.datasets import labeled_folder, user_error
from kerassl.metrics import topk


class Probe(keras.callbacks.Callback):
    """Score labeled images by `model.embed` at the end of epochs and adds the figures to the logs.

    Subclasses set `prefix` and write `scores(train, labels, test, count)`: float32 features `[N, D]` and int labels
    `[N]` to learn from, features `[M, D]` to score, and the number of classes; it gives `[M, count]`.
    """

    prefix = "probe"

    def __init__(
        self,
        train: str | os.PathLike,
        test: str | os.PathLike | None,
        image_size: int,
        every: int,
        batch_size: int,
        seed: int,
    ) -> None:
        super().__init__()
        if not COUNT.fits(every):
            raise UserError(f"{type(self).__name__}: every is {every}; give a whole number of epochs above 0, as 1")
        self.every, self.seed = int(every), check(seed=seed) % 2**31
        self.train = labeled_folder(train, image_size, batch_size)
        self.test = None if test is None else labeled_folder(test, image_size, batch_size)
        self.classes, self.image_size = self.train.class_names, int(image_size)
        if self.test is None and min(self.train.counts) < 2:
            name = self.classes[int(np.argmin(self.train.counts))]
            raise UserError(
                f"{train} holds one image of the class {name}, which cannot be split into two halves; give two or more "
                "of each class, or a folder test"
            )
        if self.test is not None and self.test.class_names != self.classes:
            other = sorted(set(self.classes) ^ set(self.test.class_names))
            raise UserError(f"{train} and {test} must hold the same classes, but only one has {', '.join(other)}")

    def on_train_begin(self, logs: Any = None) -> None:
        if not hasattr(self.model, "embed"):
            raise UserError(
                f"{type(self).__name__} asks the model for embed(images), which {type(self.model).__name__} has not; "
                "use it with kerassl.SimCLR"
            )
        self._trace(self.model.embed)

    def measure(self, embed: Callable) -> dict[str, float]:
        """Score a network that is not being trained.

        Args:
            embed: Function of images `[B, S, S, 3]` in [0, 255] to features `[B, D]`.

        Returns:
            The metrics that training would have in its logs.
        """
        self._trace(embed)
        return self._figures()

    def _trace(self, embed):
        images = tf.TensorSpec([None, self.image_size, self.image_size, 3], tf.float32)
        self._embed = graph_of(embed, input_signature=[images])

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        last = epoch + 1 == self.params["epochs"] or self.model.stop_training
        if last or (epoch + 1) % self.every == 0:
            logs.update(self._figures())

    def _figures(self):
        features, labels = self._read(self.train)
        if self.test is None:
            learn = halves(labels, self.seed)
            sets = features[learn], labels[learn], features[~learn], labels[~learn]
        else:
            sets = features, labels, *self._read(self.test)
        ranks = (1, 3) if len(self.classes) > 2 else (1,)
        if not all(np.isfinite(features).all() for features in (sets[0], sets[2])):
            # The run has diverged; to stop it is another callback's business.
            return {f"{self.prefix}_top{rank}": float("nan") for rank in ranks}
        scores = self.scores(*sets[:3], len(self.classes))
        return {f"{self.prefix}_{name}": value for name, value in topk(scores, sets[3], ranks).items()}

    def _read(self, folder):
        features, labels = [], []
        try:
            for images, own in folder.batches:
                features.append(self._embed(images).numpy())
                labels.append(own.numpy())
        except tf.errors.OpError as error:
            raise user_error(error) or error from None
        return np.concatenate(features).astype(np.float32), np.concatenate(labels)

    def scores(self, train: np.ndarray, labels: np.ndarray, test: np.ndarray, count: int) -> np.ndarray:
        raise NotImplementedError


def halves(labels: np.ndarray, seed: int) -> np.ndarray:
    """Choose half of the images of each class, rounded up, drawn from `seed` and the label: `[N]` bool."""
    chosen = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        order = np.random.default_rng([seed, label]).permutation(own)
        chosen[order[: -(-len(own) // 2)]] = True
    return chosen
