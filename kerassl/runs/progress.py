"""How far a training is: a bar on a terminal, a line an epoch elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any

import tqdm

from kerassl._display import shortened, verbosity
from kerassl._lazy import keras
from kerassl.types import METRIC_NAMES

_SHOWN = ("coco_ap", "mean_iou")  # of the validation images, the first that there is
_COLUMNS = 100


class Progress(keras.callbacks.Callback):
    """Show loss, validation metric, rate and time left; to be used with `verbose=0`.

    Args:
        title: Str, what is trained.
        batch_size: Int, images in a batch.
    """

    def __init__(self, title: str, batch_size: int) -> None:
        super().__init__()
        self.title, self.batch_size = title, batch_size
        self._bar: tqdm.tqdm | None = None
        self._last: float | None = None

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch == getattr(self, "_first", epoch):
            self._first, self._begun = epoch, time.perf_counter()
            steps = self.params.get("steps")
            if verbosity() == 1:
                total = steps and steps * self.params["epochs"] * self.batch_size
                self._bar = tqdm.tqdm(
                    total=total, initial=(steps or 0) * epoch * self.batch_size, desc=shortened(self.title, 30),
                    unit="image", dynamic_ncols=True,
                )  # fmt: skip
        self._epoch_begun, self._steps = time.perf_counter(), 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        done = batch + 1 - self._steps  # above 1 with `steps_per_execution`
        self._stepped = time.perf_counter()
        if not self._steps:
            self._traced, self._traced_steps = self._stepped, done
        self._steps = batch + 1
        if self._bar is not None:
            self._bar.update(done * self.batch_size)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs, now = logs or {}, time.perf_counter()
        figures = [f"loss {logs['loss']:.3g}"] if "loss" in logs else []
        key = next((key for key in _SHOWN if f"val_{key}" in logs), None)
        if key is not None and logs[f"val_{key}"] != self._last:  # epochs that are not scored repeat the last value
            self._last = logs[f"val_{key}"]
            figures.append(f"validation {METRIC_NAMES[key].name} {100 * logs[f'val_{key}']:.1f} %")
        if "contrast_accuracy" in logs:
            figures.append(f"contrastive accuracy {100 * logs['contrast_accuracy']:.1f} %")
        if self._bar is not None:
            self._bar.set_postfix_str(", ".join(figures))
            return
        epochs = self.params["epochs"]
        done = epoch - self._first  # without the first, which compiles
        seconds, steps = now - self._epoch_begun, self._steps
        if not done:
            self._begun = now
            if steps > self._traced_steps:  # so its first step, and what follows its last, do not count
                seconds, steps = self._stepped - self._traced, steps - self._traced_steps
        left = ((now - self._begun) / done if done else seconds / steps * self._steps) * (epochs - epoch - 1)
        rate = steps * self.batch_size / max(seconds, 1e-9)
        place = f"epoch {epoch + 1:{len(str(epochs))}}/{epochs}"
        line = "  ".join(
            [
                shortened(self.title, 20),
                place,
                *figures,
                f"{rate:{'.0f' if rate >= 10 else '.2g'}} images/s",
                f"{_clock(left)} left",
            ]
        )
        print(line[:_COLUMNS], file=sys.stdout, flush=True)

    def on_train_end(self, logs: Any = None) -> None:
        if self._bar is not None:
            self._bar.close()


def _clock(seconds):
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
