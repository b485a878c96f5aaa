"""Speed of training, and time spent waiting for data."""

from __future__ import annotations

import time
from typing import Any

from kerassl._compat import keras, tf
from kerassl._errors import UserError
from kerassl._numbers import COUNT
from kerassl.datasets import ResumableDataset


class Throughput(keras.callbacks.Callback):
    """Add speed, share of time spent waiting for data, and minutes left to the logs of steps and epochs.

    - `pairs_per_second`: images, that is pairs of views, a second, over the epoch so far. The first step of a
      `fit`, which compiles, does not count, nor does what happens between epochs.
    - `wait_share`: the share of that time in which a step waited for its batch, from 0 to 1. It needs `watch`.
    - `minutes_left`: of the whole run, at the pace so far, with what happens between epochs. Needs a data set of
      known length, or `steps_per_epoch`.

    Near 0 the network is the bottleneck; above 0.1 decoding is (use more cores or smaller files).
    Nothing is logged before there is a second step. Put it before the callbacks that write logs. The progress bar of
    Keras 2.15 shows the mean over the epoch's steps, that of Keras 3 the value itself.

    Args:
        batch_size: int. The global batch, in images. A smaller last batch of an epoch counts as a whole one.

    Raises:
        UserError: if `batch_size` is no whole number above 0.

    Example:
        >>> throughput = kerassl.callbacks.Throughput(batch_size=64)
        >>> images = kerassl.datasets.image_folder("photos", image_size=160, batch_size=64)
        >>> model.fit(throughput.watch(images), epochs=100, callbacks=[throughput])
    """

    def __init__(self, batch_size: int) -> None:
        super().__init__()
        if not COUNT.fits(batch_size):
            raise UserError(f"Throughput: batch_size is {batch_size}; give a whole number of images above 0, as 64")
        self.batch_size = int(batch_size)
        self._watching = False
        self._arrived: dict[int, float] = {}
        self._taken = 0

    def watch(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        """Note when each batch is ready; the batches pass through as they are.

        Args:
            dataset: `tf.data.Dataset`, as it goes to `fit`, prefetching included.

        Returns:
            `tf.data.Dataset` of the same elements and length; of a `datasets.ResumableDataset` one.

        Raises:
            UserError: if it is no `tf.data.Dataset`.

        Example:
            >>> model.fit(throughput.watch(images), callbacks=[throughput])
        """
        if not isinstance(dataset, tf.data.Dataset):
            raise UserError(f"Throughput.watch takes a tf.data.Dataset, not {type(dataset).__name__}")
        self._watching = True

        def note(number, row):
            # Python's clock, by which `fit` is timed too. A variable could not be captured within a strategy's scope.
            return tf.ensure_shape(tf.numpy_function(self._note, [number], tf.int64), []), row

        # Batches are numbered: `fit` and tf.data fetch ahead, so that the last one noted need not be this step's.
        def watched(dataset):
            return dataset.scan(tf.constant(0, tf.int64), note)

        return dataset.transform(watched) if isinstance(dataset, ResumableDataset) else watched(dataset)

    def _note(self, number):
        if number == 0:  # a new iteration over the data
            self._arrived, self._taken = {}, 0
        self._arrived[int(number)] = time.perf_counter()
        return number + 1

    def on_train_begin(self, logs: Any = None) -> None:
        self._compiled = False
        self._run_steps, self._run_start = 0, 0.0
        self._logs: dict[str, float] = {}

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = epoch
        self._steps, self._waited, self._whole = 0, 0.0, True
        self._start: float | None = None
        self._logs = {}

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._begin, self._first = time.perf_counter(), batch
        if self._compiled and self._start is None:
            self._start = self._begin

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        now = time.perf_counter()
        steps = batch - self._first + 1  # above 1 with `steps_per_execution`
        wait = self._wait(steps, now)
        if not self._compiled:
            self._compiled, self._start, self._run_start = True, now, now
            return
        self._steps += steps
        self._run_steps += steps
        seconds = max(now - (self._start or 0.0), 1e-9)
        self._logs = {"pairs_per_second": self._steps * self.batch_size / seconds}
        if wait is None:
            self._whole = False
        else:
            self._waited += wait
        if self._watching and self._whole:
            self._logs["wait_share"] = min(self._waited / seconds, 1.0)
        if self.params.get("steps"):
            left = (self.params["epochs"] - self._epoch) * self.params["steps"] - (batch + 1)
            self._logs["minutes_left"] = left * (now - self._run_start) / self._run_steps / 60
        logs.update(self._logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs.update(self._logs)

    def _wait(self, steps, now):
        """Second of this step before its batch was there; None where that was not noted."""
        if not self._watching:
            return None
        times = [self._arrived.pop(self._taken + step, None) for step in range(steps)]
        self._taken += steps
        # Within one execution of many steps only the first one's beginning is known.
        if steps > 1 or times[0] is None:
            return None
        return min(max(times[0] - self._begin, 0.0), now - self._begin)
