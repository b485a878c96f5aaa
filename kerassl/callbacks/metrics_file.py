"""Metrics as lines of JSON."""

from __future__ import annotations

import json
import logging
import os
import pathlib
import time
from typing import Any

from kerassl._compat import keras
from kerassl._io import files as _files
from kerassl.callbacks.metrics_lines import parsed
from kerassl.callbacks.state import was_resumed

log = logging.getLogger("kerassl")


class MetricsFile(keras.callbacks.Callback):
    """Append one line of JSON an epoch: stage, epoch, step, seconds, images a second and all logs of `fit`.

    A last line that a killed process left half written is dropped, with a line in the log.

    Args:
        path: str or `pathlib.Path` of the file, as `metrics.jsonl`. An older file is continued.
        stage: str. Written into each line, to distinguish several runs in one file.
        images_per_step: int or None. The global batch, for `images_per_second`.
        every: int or None. Also write a line every `every` steps, with `"kind": "step"`.
        rewind: bool or None. Whether to drop the lines of this stage that are beyond the step at which `fit` begins:
            what comes after the last checkpoint is trained again, and each epoch is in the file once. None does so when
            `Resume` took up a checkpoint.

    Example:
        >>> model.fit(images, callbacks=[kerassl.callbacks.MetricsFile("metrics.jsonl", "pretrain", 64)])
    """

    def __init__(
        self,
        path: str | os.PathLike,
        stage: str = "train",
        images_per_step: int | None = None,
        every: int | None = None,
        rewind: bool | None = None,
    ) -> None:
        super().__init__()
        self.path = pathlib.Path(path)
        self.stage = stage
        self.images_per_step = images_per_step
        self.every = every
        self.rewind = rewind

    def on_train_begin(self, logs: Any = None) -> None:
        self._step = int(self.model.optimizer.iterations)
        self._clean()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch, self._started, self._first = epoch, time.perf_counter(), self._step

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._step += 1
        if self.every and self._step % self.every == 0:
            self._write("step", logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
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

    def _clean(self):
        """Leave whole lines alone, and with `rewind` only those of steps that have been trained."""
        if not self.path.exists():
            return
        before = self.path.read_bytes()
        lines = before.split(b"\n")
        half = lines.pop()
        if half and parsed(half) is not None:
            lines.append(half)
        elif half.startswith(b"{") and all(parsed(line) is not None for line in lines):
            log.warning("the last line of %s is half written; it is dropped", self.path)
        elif half:
            lines.append(half)  # of another program
        if was_resumed(self.model) if self.rewind is None else self.rewind:
            lines = [line for line in lines if not self._is_beyond(parsed(line))]
        after = b"".join(line + b"\n" for line in lines)
        if after != before:
            with _files.whole(self.path, overwrite=True) as part:
                part.write_bytes(after)

    def _is_beyond(self, line):
        return line is not None and line.get("stage") == self.stage and line.get("step", 0) > self._step
