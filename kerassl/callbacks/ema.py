"""Exponential moving average of the weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from kerassl._compat import keras, tf
from kerassl._errors import UserError
from kerassl._numbers import SHARE_BELOW_1
from kerassl.callbacks.shadow import Shadow
from kerassl.callbacks.state import has_more_steps, set_ema


class EMA(keras.callbacks.Callback):
    """Keep an exponential moving average of the weights, validate with it and leave it in the model at the end.

    After step `t` (from 0) every weight's average moves by `1 - d` of the way to the weight, with
    `d = min(decay, (1 + t) / (10 + t))`: a short run is averaged over its last tenth or so rather than with its random
    start. Moving statistics of batch normalization are averaged, too (`ReestimateBatchNorm` re-estimates them).

    It serves every optimizer; Keras's own `use_ema` has no such warm-up, leaves out the moving statistics, is
    validated with on Keras 3 alone, and is unknown to the optimizers of tensorflow-addons.

    Within `fit` the model holds the averages from the last step of an epoch to the first of the next: while it is
    validated, and when an epoch ends, so that what other callbacks measure, save (`ModelCheckpoint`) or keep and put
    back (`EarlyStopping`) are the averages, in any order of the callbacks. (Where the number of steps is not known
    before the first epoch has ended, and nothing is validated, callbacks before this one see the last step's weights in
    that epoch.) `swap` exchanges them for saving at other times. A second `fit` with the same callback continues from
    the weights, not from their averages. With `steps_per_execution` above 1 it averages once an execution.

    Args:
        decay: float in [0, 1). 0.999 averages over a thousand steps; 0.99 suits runs of a few hundred.

    Attributes:
        variables: list of `tf.Variable`, for `Resume(beside=[ema])`.

    Raises:
        UserError: if `decay` is out of range.

    Example:
        >>> ema = kerassl.callbacks.EMA(0.999)
        >>> detector.fit(batches, epochs=20, validation_data=held_out, callbacks=[ema])
    """

    def __init__(self, decay: float = 0.999) -> None:
        super().__init__()
        if not SHARE_BELOW_1.fits(decay):
            raise UserError(f"EMA: decay is {decay}; give a number from 0 to under 1, as 0.999")
        self.decay = float(decay)
        self._of, self._training = None, False

    def build(self, model: keras.Model) -> None:
        """Make the averages, each its weight; once for a model."""
        if self._of is model:
            return
        self._of = model
        self._shadow = Shadow(model)
        self._steps = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._held = tf.Variable(False, trainable=False)  # whether the model holds the averages: for checkpoints, too
        self.variables = [self._steps, self._held, *self._shadow.variables]

    def swap(self) -> None:
        """Exchange the model's weights and their averages; a second call changes them back."""
        self._shadow.swap()
        self._held.assign(not self._held)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Put the averages into the model as long as the block lasts."""
        before = bool(self._held)
        self._put(True)
        try:
            yield
        finally:
            self._put(before)

    def _put(self, averages):
        if bool(self._held) != averages:
            self.swap()

    def on_train_begin(self, logs: Any = None) -> None:
        self.build(self.model)
        self._put(False)
        self._training, self._count = True, int(self._steps)
        set_ema(self.model, self)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._put(False)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._shadow.move(1 - min(self.decay, (1 + self._count) / (10 + self._count)))
        self._count += 1
        self._steps.assign(self._count)
        if batch + 1 == self.params.get("steps"):
            # Now, so that all callbacks see them when the epoch has ended, those before this one too.
            self._put(True)

    def on_test_begin(self, logs: Any = None) -> None:
        if self._training:
            self._put(True)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._put(True)

    def on_train_end(self, logs: Any = None) -> None:
        self._training = False
        set_ema(self.model, None)
        self._put(not has_more_steps(self.model))
