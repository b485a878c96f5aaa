"""Monitoring of contrastive pre-training."""

from __future__ import annotations

import collections
import logging
import math
from typing import Any

import numpy as np

from kerassl._compat import keras
from kerassl._errors import UserError
from kerassl._numbers import COUNT
from kerassl.callbacks.learning_rate import current_rate
from kerassl.callbacks.state import has_more_steps

log = logging.getLogger("kerassl")

_FEW = 20
"""Steps under which no network is expected to do better than guessing."""

_MORE = "train for more epochs (a few hundred steps are too few), lower the learning rate, or take milder views"


class CollapseMonitor(keras.callbacks.Callback):
    """Monitor contrastive pre-training and log one line when it fails: what is wrong and what to change.

    `SimCLR` logs `embedding_std`, `effective_rank`, `alignment` and `uniformity` of the last batch and
    `contrast_accuracy` by itself; this adds `chance_loss`, the loss at random guessing, and alarms:

    - **broken**: the loss is NaN or infinite. Training stops.
    - **collapsed**: the embeddings are all alike, or use one direction or two; at the end also where they use less than
      half of the directions of the first steps and the loss is that of chance.
    - **above chance**: the loss is far worse than at random guessing.
    - **flat**: the loss does not move from step to step, not even by the luck of the batch.
    - **at chance**: views of an image are found no more often than by guessing.
    - **not learning**: the loss is still that of random guessing.

    While the learning rate is warming up, a loss that stays is no reason for an alarm. When training ends, the last
    steps are checked in any case, however short the run was; under 20 steps only for a loss that is not finite and for
    a collapse, as no network learns more than chance in so few.

    Args:
        batch_size: int > 1. Images in the global batch, for the chance line.
        patience: int > 0 or None. How many steps something must last before the alarm; also the first steps, which
            alarm only when the loss is NaN or infinite. None takes a fifth of the run, 10 to 100 steps.
        stop: bool. Stop training at an alarm of any kind.

    Attributes:
        alarms: list of (step, kind, message), one of each kind at most.
        at_end: list of the kinds that the last steps gave an alarm for, or None before training has ended or where no
            step was taken.

    Raises:
        UserError: if `batch_size` or `patience` is too small, or the model is not a `SimCLR`.

    Example:
        >>> health = kerassl.callbacks.CollapseMonitor(batch_size=64)
        >>> model.fit(images, epochs=100, callbacks=[health])
        >>> health.alarms
        []
    """

    def __init__(self, batch_size: int, patience: int | None = None, stop: bool = False) -> None:
        super().__init__()
        if not COUNT.fits(batch_size) or batch_size < 2 or not (patience is None or COUNT.fits(patience)):
            raise UserError(
                f"CollapseMonitor has batch_size={batch_size} and patience={patience}; give at least 2 and 1"
            )
        self.batch_size = batch_size
        self.patience = patience
        self.stop = stop
        self.alarms: list[tuple[int, str, str]] = []
        self.at_end: list[str] | None = None
        self._first: float | None = None
        self._steps = 0
        self._now: list[str] = []

    def on_train_begin(self, logs: Any = None) -> None:
        if not hasattr(self.model, "objective"):
            raise UserError("CollapseMonitor watches a SimCLR; give it to the fit of one")
        negatives = 2 * self.batch_size - (2 if getattr(self.model.objective, "decoupled", False) else 1)
        self.chance_loss = math.log(negatives)
        self.chance_accuracy = 1 / (2 * self.batch_size - 1)
        self._sums = np.zeros(4)
        self.at_end = None
        steps, epochs = self.params.get("steps"), self.params.get("epochs", 1)
        total = 500 if steps is None else steps * epochs
        self._window = self.patience or min(max(total // 5, 10), 100)
        # Before, a healthy run may be no better than guessing.
        self._slow = 1.5 * (self.patience or 100)
        if not self._steps:  # else this is the next `fit` of a run that was resumed within an epoch
            self._recent: collections.deque = collections.deque(maxlen=self._window)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._sums = np.zeros(4)  # Keras empties the metrics now

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        logs = {} if logs is None else logs
        logs["chance_loss"] = self.chance_loss
        loss, accuracy = self._of_this_step()
        if not math.isfinite(float(logs.get("loss", 0.0))):  # or of a part beside the global one
            loss = math.nan
        if not math.isfinite(loss):
            self._alarm(
                "broken",
                f"the loss is {loss}: lower the learning rate or its clipping, raise the temperature, or train in "
                "float32; the checkpoints before it are good",
                stop=True,
            )
            return
        self._steps += 1
        rate = current_rate(self.model.optimizer)
        self._recent.append((loss, accuracy, float(logs["embedding_std"]), float(logs["effective_rank"]), rate))
        if self._first is None:
            self._first = float(logs["effective_rank"])
        if len(self._recent) == self._window:
            self._look(np.array(self._recent), slow=self._steps >= self._slow)

    def on_train_end(self, logs: Any = None) -> None:
        if has_more_steps(self.model) or not (self._steps or self.alarms):
            return
        broken, self._now = "broken" in self._now, []
        if broken:
            self._now.append("broken")
        else:
            self._look(np.array(self._recent), slow=self._steps >= _FEW, end=True)
        self.at_end = self._now

    @property
    def learned(self) -> bool | None:
        """Return whether the network is better than guessing at the end; None after too few steps."""
        if self.at_end is None or (not self.at_end and self._steps < _FEW):
            return None
        return not self.at_end

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if logs is not None:
            logs["chance_loss"] = self.chance_loss

    def _of_this_step(self):
        """Loss and accuracy of the last step: the logs hold their means since the epoch began."""
        # A dense loss beside the global one has a chance of its own.
        loss = getattr(self.model, "global_tracker", self.model.loss_tracker)
        trackers = (loss, self.model.accuracy_tracker)
        sums = np.array([float(part.numpy()) for each in trackers for part in (each.total, each.count)])
        (loss, losses, right, rights), self._sums = sums - self._sums, sums
        return loss / max(losses, 1), right / max(rights, 1)

    def _look(self, recent, slow=True, end=False):
        loss, accuracy, deviation, rank, _ = recent.mean(axis=0)
        later, _, _, later_rank, _ = recent[len(recent) // 2 :].mean(axis=0)
        guessing = 0.98 * self.chance_loss < later <= 2 * self.chance_loss
        if deviation < 0.05 or rank < 2:
            self._alarm(
                "collapsed",
                f"the embeddings of all images are alike (deviation {deviation:.3f} of 1, {rank:.1f} directions): "
                "lower the learning rate, or check that the images differ",
            )
        elif end and guessing and later_rank < 0.5 * self._first:
            self._alarm(
                "collapsed",
                f"the loss of {later:.3f} nats is that of guessing ({self.chance_loss:.3f}), and the embeddings use "
                f"{later_rank:.1f} directions, {self._first:.1f} at the start: {_MORE}",
            )
        if loss > 2 * self.chance_loss:
            self._alarm(
                "above chance",
                f"the loss of {loss:.2f} nats is far above chance ({self.chance_loss:.2f}): raise the temperature "
                "(0.1 to 0.5), or lower the learning rate",
            )
        if not slow or (not end and recent[-1, -1] > 1.01 * recent[0, -1]):
            return  # too early, or still warming up
        if len(recent) >= 10 and recent[:, 0].std() < 2e-3 * self.chance_loss:
            self._alarm(
                "flat",
                f"the loss stays at {loss:.3f} nats whatever the batch: lower the temperature (0.1 to 0.5), or "
                "raise the learning rate",
            )
        # Guessing finds a binomial number of views; three deviations more is no luck.
        luck = 3 * math.sqrt(self.chance_accuracy / (2 * self.batch_size * len(recent)))
        if accuracy < self.chance_accuracy + luck:
            self._alarm(
                "at chance",
                f"the other view of an image is found in {accuracy:.2%} of cases, which is guessing "
                f"({self.chance_accuracy:.2%}): check that the images differ, take milder views, or lower the "
                "learning rate",
            )
        if guessing and "collapsed" not in self._now:
            self._alarm(
                "not learning",
                f"the loss of {later:.3f} nats is no better than that of guessing ({self.chance_loss:.3f}): {_MORE}",
            )

    def _alarm(self, kind, message, stop=False):
        self._now.append(kind)
        if kind not in {known for _, known, _ in self.alarms}:
            step = int(self.model.optimizer.iterations)
            self.alarms.append((step, kind, message))
            log.warning("step %d, %s: %s", step, kind, message)
        if stop or self.stop:
            self.model.stop_training = True
