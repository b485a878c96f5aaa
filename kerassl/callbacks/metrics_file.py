"""Metrics as lines of JSON."""

import json
import pathlib
import time

import keras

from kerassl import _compat  # noqa: F401


class MetricsFile(keras.callbacks.Callback):
    """Appends one line of JSON an epoch: stage, epoch, step, seconds, images a second and all logs of `fit`.

    Args:
        path: str or `pathlib.Path` of the file, as `metrics.jsonl`. An older file is continued.
        stage: str. Written into each line, to tell several runs in one file apart.
        images_per_step: int or None. The global batch, for `images_per_second`.
        every: int or None. Also write a line every so many steps, with `"kind": "step"`.

    Example:
        >>> model.fit(images, callbacks=[kerassl.callbacks.MetricsFile("metrics.jsonl", "pretrain", 64)])
    """

    def __init__(self, path, stage="train", images_per_step=None, every=None):
        super().__init__()
        self.path = pathlib.Path(path)
        self.stage = stage
        self.images_per_step = images_per_step
        self.every = every

    def on_train_begin(self, logs=None):
        self._step = int(self.model.optimizer.iterations)

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch, self._started, self._first = epoch, time.perf_counter(), self._step

    def on_train_batch_end(self, batch, logs=None):
        self._step += 1
        if self.every and self._step % self.every == 0:
            self._write("step", logs)

    def on_epoch_end(self, epoch, logs=None):
        self._write("epoch", logs)

    def _write(self, kind, logs):
        seconds = time.perf_counter() - self._started
        line = {"kind": kind, "stage": self.stage, "epoch": self._epoch + 1, "step": self._step}
        line["seconds"] = round(seconds, 2)
        if self.images_per_step:
            line["images_per_second"] = round((self._step - self._first) * self.images_per_step / seconds, 2)
        line.update({name: float(value) for name, value in (logs or {}).items()})
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
