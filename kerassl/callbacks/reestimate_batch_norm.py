"""Batch normalization that belongs to the weights."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kerassl._compat import keras
from kerassl._errors import UserError
from kerassl.backbones.batch_norm import batch_norms, measurer, reestimate_batch_norm
from kerassl.callbacks.state import has_more_steps


class ReestimateBatchNorm(keras.callbacks.Callback):
    """Re-estimate the moving statistics before each validation within `fit` and when training ends.

    See `backbones.reestimate_batch_norm`. Frozen layers keep theirs. Put it behind `EMA`: the statistics are
    then those of the averaged weights.

    Args:
        batches: `tf.data.Dataset` as `backbones.reestimate_batch_norm` takes it: not the very one that `fit` is given,
            whose epochs it would disturb.
        steps: int > 0 or None. Maximum number of batches; 100 to 200 suffice.

    Raises:
        UserError: if `steps` is no whole number above 0.

    Example:
        >>> again = kerassl.datasets.detection_batches(records, 256, 16, shuffle=True)
        >>> detector.fit(batches, epochs=20, callbacks=[kerassl.callbacks.ReestimateBatchNorm(again, steps=100)])
    """

    def __init__(self, batches: Iterable, steps: int | None = None) -> None:
        super().__init__()
        if steps is not None and (isinstance(steps, bool) or not isinstance(steps, int) or steps < 1):
            raise UserError(f"ReestimateBatchNorm: steps is {steps}; give a whole number of batches above 0, as 100")
        self.batches, self.steps = batches, steps
        self._training, self._key = False, None

    def on_train_begin(self, logs: Any = None) -> None:
        self._training = True

    def on_test_begin(self, logs: Any = None) -> None:
        if self._training:
            self._measure()

    def on_train_end(self, logs: Any = None) -> None:
        self._training = False
        if not has_more_steps(self.model):
            self._measure()

    def _measure(self):
        # Traced once for all epochs in which the same layers are trained.
        frozen = [layer.trainable for layer in batch_norms(self.model)]
        if self._key != frozen:
            self._key, self._measured = frozen, measurer(self.model)
        reestimate_batch_norm(self.model, self.batches, self.steps, self._measured)
