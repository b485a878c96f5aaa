"""Callbacks of a run: its minutes, and its limit of time."""

import time

from kerassl._lazy import keras
from kerassl.runs.running import OutOfTimeError, read_kept, write_json


class Clock(keras.callbacks.Callback):
    """Adds up the minutes of a run over its stops."""

    def __init__(self, path):
        super().__init__()
        self.path = path
        self.minutes = (read_kept(path, "minutes") or {"minutes": 0.0})["minutes"]

    def on_epoch_begin(self, epoch, logs=None):
        self._begun = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.pause()

    def pause(self):
        """Writes down the minutes so far."""
        now = time.perf_counter()
        self.minutes, self._begun = self.minutes + (now - self._begun) / 60, now
        write_json(self.path, {"minutes": self.minutes})


class StopInTime(keras.callbacks.Callback):
    """Ends a training in its checkpoint when the limit is over, by `OutOfTimeError`; put it last.

    Args:
        limit: `TimeLimit`.
        resume: `callbacks.Resume` of the training.
        clock: `Clock` of the training.
    """

    def __init__(self, limit, resume, clock):
        super().__init__()
        self.limit, self.resume, self.clock = limit, resume, clock

    def on_train_batch_end(self, batch, logs=None):
        if self.limit.over() and self.resume.save(batch, logs):
            self.clock.pause()
            raise OutOfTimeError

    def on_epoch_end(self, epoch, logs=None):
        if epoch + 1 < self.params["epochs"]:  # of which `Resume` has kept the end; after the last one little is left
            self.limit.check()
