"""Callbacks of a run: its minutes, and its limit of time."""

from __future__ import annotations

import pathlib
import time
from typing import Any

from kerassl import callbacks
from kerassl._io.state import read_kept, write_json
from kerassl._lazy import keras
from kerassl.runs.running import OutOfTimeError, TimeLimit


class Clock(keras.callbacks.Callback):
    """Add up the minutes of a run over its stops.

    Args:
        path: `pathlib.Path` of the JSON file that keeps them.
    """

    def __init__(self, path: pathlib.Path) -> None:
        super().__init__()
        self.path = path
        self.minutes = (read_kept(path, "minutes") or {"minutes": 0.0})["minutes"]

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._begun = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.pause()

    def pause(self) -> None:
        """Write the minutes so far."""
        now = time.perf_counter()
        self.minutes, self._begun = self.minutes + (now - self._begun) / 60, now
        write_json(self.path, {"minutes": self.minutes})


class StopInTime(keras.callbacks.Callback):
    """End a training at a checkpoint by `OutOfTimeError` when the limit is over; to be the last callback.

    Args:
        limit: `TimeLimit`.
        resume: `callbacks.Resume` of the training.
        clock: `Clock` of the training.
    """

    def __init__(self, limit: TimeLimit, resume: callbacks.Resume, clock: Clock) -> None:
        super().__init__()
        self.limit, self.resume, self.clock = limit, resume, clock

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.limit.over() and self.resume.save(batch, logs):
            self.clock.pause()
            raise OutOfTimeError

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if epoch + 1 < self.params["epochs"] and self.limit.over():  # after the last one little is left
            self.resume.save_epoch()
            raise OutOfTimeError
