"""Stopping at a loss that is not finite."""

from __future__ import annotations

import logging
import math
import os
import pathlib
from typing import Any

import numpy as np
from PIL import Image

from kerassl._compat import keras, tf
from kerassl._errors import UserError
from kerassl._io import files as _files
from kerassl.callbacks.shadow import Shadow
from kerassl.datasets import ResumableDataset

log = logging.getLogger("kerassl")


class StopAtNaN(keras.callbacks.Callback):
    """Stop training at the step whose loss is NaN or infinite, or that makes a weight so, and save its batch.

    The second is looked for as well because a gradient can overflow where the loss does not, and because activations
    may hide a NaN; the loss would follow a step later, and another batch be blamed. The folder then holds `batch.npz`
    (every part of the batch by name, `epoch` and `step`, both from 0, and `loss`) and `batch.png` (its images side by
    side, values that are not finite in red).

    Nothing is kept of the data while training runs: the batch is read again by its epoch and step, which the readers
    can do without reading what comes before. The weights are restored to those before the step, moving statistics
    included, for which they are copied once a step; the optimizer's slots are not: continue from a checkpoint. Put it
    before all other callbacks.

    Args:
        folder: str or `pathlib.Path`, made when it is needed.
        data: the `datasets.ResumableDataset` that `fit` is given;
            or None, and no batch is written.
        resume: the `Resume` of the same run, if it continues within an epoch, or None.
        restore: bool. Put the weights back.

    Attributes:
        message: str, one line on what happened; None while all is well.

    Raises:
        UserError: if `data` is no such data set.

    Example:
        >>> batches = kerassl.datasets.detection_batches(records, 256, 8, shuffle=True)
        >>> detector.fit(batches, callbacks=[kerassl.callbacks.StopAtNaN("nan", batches)])
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        data: Any = None,
        resume: keras.callbacks.Callback | None = None,
        restore: bool = True,
    ) -> None:
        super().__init__()
        if data is not None and not isinstance(data, ResumableDataset):
            raise UserError(f"StopAtNaN takes as data a ResumableDataset, not {type(data).__name__}")
        self.folder, self.data, self.resume, self.restore = pathlib.Path(folder), data, resume, restore
        self.message: str | None = None

    def on_train_begin(self, logs: Any = None) -> None:
        self.message = None
        self._shadow = Shadow(self.model, self.restore)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = epoch

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._first = batch
        if self.restore:
            self._shadow.copy()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        loss = float(logs["loss"])  # a mean over the epoch so far, nan from the first bad step on
        finite = math.isfinite(loss)
        if self.message is not None or (finite and self._shadow.finite()):
            return
        self.model.stop_training = True
        if self.restore:
            self._shadow.restore()
        offset = self.resume.offset if self.resume is not None else 0
        first, last = offset + self._first, offset + batch
        what = f"weights became NaN or infinite (at a loss of {loss:.4g})" if finite else f"the loss became {loss}"
        self.message = f"{what} in epoch {self._epoch}, step {last} (both from 0)"
        if self.data is not None:
            self.message += f"; {self._write(first, last, loss)}, in {self.folder}"
        log.error("%s", self.message)
        logs["loss"] = math.nan  # so that `Resume`, behind this, takes neither the step nor the epoch for a good one

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self.message is not None:
            logs["loss"] = math.nan

    def _write(self, first, last, loss):
        batches = self.data.at(self._epoch, first, self.data.broken).take(last - first + 1)
        whole = True
        _files.own_folder(self.folder, "checkpoints")
        for step, batch in enumerate(batches.as_numpy_iterator(), start=first):
            arrays = named(batch)
            whole = whole and all(np.isfinite(each).all() for each in arrays.values())
            name = "batch" if first == last else f"batch_{step}"
            with _files.whole(self.folder / f"{name}.npz", state=True) as part:
                np.savez(part, epoch=self._epoch, step=step, loss=loss, **arrays)
            images = next(each for each in arrays.values() if each.ndim == 4)
            with _files.whole(self.folder / f"{name}.png", state=True) as part:
                Image.fromarray(grid(images)).save(part)
        return f"its batch holds {'finite values alone' if whole else 'values that are not finite'}"


def named(batch: int, name: str = "images") -> dict[str, np.ndarray]:
    """The arrays of a batch by name: the first of a pair are the images, what has no name is called `labels`."""
    if isinstance(batch, dict):
        pairs = batch.items()
    elif isinstance(batch, (tuple, list)):
        pairs = zip(("images", "labels", "weights"), batch)
    else:
        return {name: np.asarray(batch)}
    return {key: array for part, value in pairs for key, array in named(value, part).items()}


def grid(images: tf.Tensor) -> np.ndarray:
    """Images `[B, H, W, 3]` in [0, 255] in rows, as a `[height, width, 3]` uint8 array; what is not finite is red."""
    images = np.asarray(images, np.float32)[:64]
    count, height, width, _ = images.shape
    bad = ~np.isfinite(images).all(axis=-1)
    pixels = np.clip(np.nan_to_num(images), 0, 255).astype(np.uint8)
    pixels[bad] = (255, 0, 0)
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    sheet = np.zeros((rows * columns, height, width, 3), np.uint8)
    sheet[:count] = pixels
    return sheet.reshape(rows, columns, height, width, 3).swapaxes(1, 2).reshape(rows * height, columns * width, 3)
