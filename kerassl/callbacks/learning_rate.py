"""The learning rate beside the loss."""

from __future__ import annotations

from typing import Any

from kerassl._compat import keras
from kerassl._errors import UserError


class LearningRate(keras.callbacks.Callback):
    """Add `learning_rate` to the logs of steps and epochs: the rate that the last step was taken with.

    It serves every optimizer that has a rate: Keras's, kerassl's, tensorflow-addons', with a schedule or without, and
    within a loss-scaling optimizer. Put it before the callbacks that write logs. With `steps_per_execution` above 1
    it is the rate of the first step of each execution.

    Raises:
        UserError: when training begins, if the optimizer has no rate, as one that is made of several.

    Example:
        >>> model.fit(images, callbacks=[kerassl.callbacks.LearningRate(), kerassl.callbacks.MetricsFile("m.jsonl")])
    """

    def on_train_begin(self, logs: Any = None) -> None:
        self._rate: float | None = None
        if not hasattr(self.model.optimizer, "learning_rate"):
            raise UserError(
                f"the optimizer {type(self.model.optimizer).__name__} has no learning rate of its own; leave "
                "LearningRate out"
            )

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        # Before the step: after it the optimizer's counter is at the next one.
        self._next = current_rate(self.model.optimizer)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._rate = logs["learning_rate"] = self._next

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self._rate is not None:
            logs["learning_rate"] = self._rate


def current_rate(optimizer: keras.optimizers.Optimizer) -> float:
    """The learning rate that an optimizer's next step will be taken with; a float."""
    # A loss-scaling optimizer has a rate of its own in some releases, which means nothing.
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    # Where there is a schedule, the public attribute may be the schedule, its value now, or its value a step ago.
    rate = getattr(optimizer, "_learning_rate", optimizer.learning_rate)
    if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
        rate = rate(optimizer.iterations)
    return float(rate)
