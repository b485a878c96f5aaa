"""Checkpoints of a run, and its continuation."""

from __future__ import annotations

import logging
import os
import pathlib
import re
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kerassl import _compat
from kerassl._compat import keras
from kerassl._errors import UserError
from kerassl._io import files as _files
from kerassl._io.arrays import DamagedError, read_arrays
from kerassl._numbers import COUNT, FROM_0
from kerassl.callbacks.state import ema_of, metric_variables, set_more_steps, set_resumed, weights
from kerassl.datasets import ResumableDataset

log = logging.getLogger("kerassl")

_SHORT = 100  # steps of an epoch
_NAME = re.compile(r"checkpoint-(\d{6,})-(\d{8,})\.npz")


class Resume(keras.callbacks.Callback):
    """Save checkpoints of a run, and resume it where it was stopped: to the bit, at any step.

    A checkpoint holds the weights, the optimizer with its step (on which the schedule and the random views depend), the
    sums of the metrics and the place in the data. It is written whole or not at all, so that a run that is killed while
    writing continues from the one before. The same seed on the same machine gives the same bits, stopped or not.

    `fit` of kerassl's models does the rest. With another model write `resume.wrap_fit(model, model.fit, data, epochs=…,
    callbacks=[resume, …])` in place of `model.fit(data, epochs=…, …)`. Or call `restore(model)` before `fit`, give
    `fit` `initial_epoch=resume.epoch`, and leave `every` out: such a run continues from the end of an epoch.

    Args:
        directory: str or `pathlib.Path`. The folder for the checkpoints, of this run alone.
        data: the `datasets.ResumableDataset` that `fit` is given, as `datasets.image_folder` and
            `DetectionDataset.batches` return, or None. Needed to continue within an epoch.
        every: int or None. Steps between checkpoints; None keeps one at the end of each epoch. Writing one of an
            EfficientNetB1 takes a fraction of a second.
        keep: int > 0. How many checkpoints are kept.
        seconds: float. Least time between checkpoints: those that fall due sooner are left out, except the last one.
            Epochs of a second are then not spent on writing.
        beside: callbacks whose `variables` belong to the run, as `EMA`.

    Attributes:
        epoch: int, the number of epochs that are finished.
        step: int, the number of steps that are finished after those.
        offset: int, the step within its epoch with which the present `fit` began.

    Raises:
        UserError: if `every` is given without `data`, or `data` is no `ResumableDataset`.

    Example:
        >>> images = kerassl.datasets.image_folder("photos", 160, 64)
        >>> resume = kerassl.callbacks.Resume("runs/photos/checkpoints", data=images, every=100)
        >>> model.fit(images, epochs=100, callbacks=[resume])  # the same line starts the run and continues it
    """

    def __init__(
        self,
        directory: str | os.PathLike,
        data: Any = None,
        every: int | None = None,
        keep: int = 3,
        seconds: float = 0,
        beside: Sequence[keras.callbacks.Callback] = (),
    ) -> None:
        super().__init__()
        if data is not None and not isinstance(data, ResumableDataset):
            raise UserError(
                f"Resume takes as data a ResumableDataset, as datasets.image_folder returns, not {type(data).__name__}"
            )
        if every is not None and (not COUNT.fits(every) or data is None):
            raise UserError(
                f"Resume with every={every} continues within an epoch; give it data=… and every of 1 or more"
            )
        if not FROM_0.fits(seconds):
            raise UserError(f"Resume has seconds={seconds}; give the least time between checkpoints, 0 or more")
        self.directory = pathlib.Path(directory)
        self.data = data
        self.every = every
        self.keep = keep
        self.seconds = seconds
        self.beside = list(beside)
        self._variables = None
        _files.sweep(self.directory)
        self.epoch, self.step = 0, 0
        self._saved = self._newest()
        if self._saved is not None:
            self.epoch, self.step = int(self._saved["epoch"]), int(self._saved["step"])
        self._metrics = None
        self._left_out: tuple[int, dict] | None = None
        self.offset = 0

    def restore(self, model: keras.Model) -> None:
        """Take up the newest checkpoint, if there is one.

        Args:
            model: compiled and built `keras.Model`.

        Raises:
            UserError: if the checkpoint belongs to another network or optimizer; the model is unchanged then.
        """
        self._remember(model)
        if self._saved is None:
            return
        with model.distribute_strategy.scope():
            _compat.build_optimizer(model.optimizer, model.trainable_variables)
        state = self._state(model)
        arrays = self._numbered("weight_")
        if [array.shape for array in arrays] != [tuple(variable.shape) for variable in state]:
            raise UserError(
                f"{self.directory} was written for another network or optimizer ({len(arrays)} arrays, here "
                f"{len(state)}); use the settings of that run, or another folder"
            )
        for variable, array in zip(state, arrays):
            variable.assign(array)
        set_resumed(model)
        if self.step:  # `fit` clears the metrics when an epoch begins
            self._metrics = self._numbered("metric_")

    def _numbered(self, name):
        return [self._saved[f"{name}{i}"] for i in range(sum(each.startswith(name) for each in self._saved))]

    def wrap_fit(
        self, model: keras.Model, fit: Callable, data: Any, epochs: int = 1, initial_epoch: int = 0, **arguments: Any
    ) -> keras.callbacks.History:
        """Call `fit` from where the run was stopped.

        Args:
            model: compiled and built `keras.Model`.
            fit: its `fit`, of data and arguments.
            data: what `fit` is given.
            epochs, initial_epoch, **arguments: those of `fit`.

        Returns:
            What `fit` returns, of the epochs that this call ended.
        """
        if self.data is not None and data is not self.data:
            raise UserError("Resume was given other data than fit; give both the same data set")
        if self.data is None and self.step:
            raise UserError(f"{self.directory} holds a run that was stopped within an epoch; give Resume data=… again")
        self.restore(model)
        epoch, before = max(initial_epoch, self.epoch), None
        if self.step and self.epoch == epoch < epochs:
            # A call of its own, for Keras takes every epoch to be as long as the first.
            self.offset = self.step
            rest = self.data.at(epoch, self.step, self._saved["broken"])  # type: ignore[union-attr]
            set_more_steps(model, True)
            try:
                before = fit(rest, epochs=epoch + 1, initial_epoch=epoch, **arguments)
            finally:
                set_more_steps(model, False)
            self.offset = 0
            epoch += 1
            if model.stop_training:
                return before
        if self.data is not None:
            self.data.begin(epoch)
            if self.data.steps <= _SHORT and arguments.get("steps_per_epoch") is None:
                # One iterator for all epochs, which are the same: to make one takes a second, as long as such an epoch.
                data, arguments = data.repeat(), {**arguments, "steps_per_epoch": self.data.steps}
        history = fit(data, epochs=epochs, initial_epoch=epoch, **arguments)
        if before is not None:
            history.epoch[:0] = before.epoch
            for name, values in before.history.items():
                history.history.setdefault(name, [])[:0] = values
        return history

    def on_train_begin(self, logs: Any = None) -> None:
        if self._variables is None or self._variables[0] is not self.model:
            self._remember(self.model)
        self._written = time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch, self._left_out = epoch, None
        if ema_of(self.model) not in (None, *self.beside):
            raise UserError("Resume would lose what EMA has averaged; give it beside=[ema]")
        if self._metrics is not None:
            for variable, value in zip(metric_variables(self.model), self._metrics):
                variable.assign(value)
            self._metrics = None

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.every and (self.offset + batch + 1) % self.every == 0 and self._due():
            self.save(batch, logs)

    def save(self, batch: int, logs: Any = None) -> bool:
        """Keep the state after a step, for a callback behind this one that is going to stop the run.

        Args:
            batch, logs: what `on_train_batch_end` was given.

        Returns:
            bool, whether this was a step within an epoch. The state after its last step is kept when it has ended.
        """
        done = self.offset + batch + 1
        if self.data is None or done >= self.data.steps:
            return False
        self._save(self._epoch, done, logs)
        return True

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._left_out = epoch + 1, dict(logs or {})
        if self._due() or epoch + 1 == self.params["epochs"] or self.model.stop_training:
            self.save_epoch()

    def save_epoch(self) -> None:
        """Keep the state at the end of an epoch, if that was left out, for a callback that is going to stop the run."""
        if self._left_out is not None:
            epoch, logs = self._left_out
            self._left_out = None
            self._save(epoch, 0, logs)

    def _due(self):
        return time.monotonic() - self._written >= self.seconds

    def _save(self, epoch, step, logs):
        if not np.all(np.isfinite([float(value) for value in (logs or {}).values()])):
            return  # the last good state is kept
        if not self.model.distribute_strategy.extended.should_checkpoint:
            return  # one worker writes for all
        arrays = {f"weight_{i}": each.numpy() for i, each in enumerate(self._state(self.model))}
        arrays.update({f"metric_{i}": each.numpy() for i, each in enumerate(metric_variables(self.model))})
        arrays["broken"] = np.array(self.data.broken if self.data is not None else [], dtype=str)
        path = self.directory / f"checkpoint-{epoch:06d}-{step:08d}.npz"
        try:
            _files.own_folder(self.directory, "checkpoints")
            with _files.whole(path, state=True) as part:
                np.savez(part, epoch=epoch, step=step, count=len(arrays) + 2, **arrays)
        except OSError as error:
            raise UserError(
                f"the checkpoint {path} could not be written ({error.strerror or error}); make room or fix the folder "
                f"and start again: the run continues from {_name(self._checkpoints())}"
            ) from error
        self._written = time.monotonic()
        for old in list(filter(_files.owns, self._checkpoints()))[self.keep :]:
            _files.remove(old)

    def _remember(self, model):
        # Now, in the order that a new model has: `GradualUnfreezing` changes it.
        for each in self.beside:
            each.build(model)
        self._variables = model, weights(model), [variable for each in self.beside for variable in each.variables]

    def _state(self, model):
        _, own, beside = self._variables
        return [*own, *_compat.optimizer_variables(model.optimizer), *beside]

    def _checkpoints(self):
        """Newest first; other files in the folder are ignored."""
        found = [(_NAME.fullmatch(path.name), path) for path in self.directory.glob("checkpoint-*.npz")]
        found = [(int(name[1]), int(name[2]), path) for name, path in found if name]
        return [path for *_, path in sorted(found, reverse=True)]

    def _newest(self):
        paths = self._checkpoints()
        for path, before in zip(paths, [*paths[1:], None]):
            try:
                return _read(path)
            except (DamagedError, OSError) as error:
                instead = "the run starts from its beginning" if before is None else f"{before.name} is taken"
                log.warning("the checkpoint %s is damaged (%s); %s", path, error, instead)
        return None


def _read(path):
    """The arrays of a checkpoint, all of them."""
    saved = read_arrays(path)
    for name in ("epoch", "step"):
        if name not in saved or saved[name].shape != () or saved[name].dtype.kind not in "iu" or saved[name] < 0:
            raise DamagedError(f"it holds no {name}")
    counts = [sum(name.startswith(part) for name in saved) for part in ("weight_", "metric_")]
    wanted = {"epoch", "step", "broken", *(f"weight_{i}" for i in range(counts[0]))}
    wanted |= {f"metric_{i}" for i in range(counts[1])}
    if set(saved) - {"count"} != wanted or int(saved.get("count", len(wanted))) != len(wanted):
        raise DamagedError("it lacks a part")
    return saved


def _name(paths):
    return paths[0].name if paths else "its beginning"
