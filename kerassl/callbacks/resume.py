"""Continuing a run that was stopped."""

import pathlib

import keras
import numpy as np

from kerassl import _compat, _files
from kerassl._errors import UserError


class Resume(keras.callbacks.Callback):
    """Keeps weights, optimiser and epoch after every epoch, and takes them up again where a run was stopped.

    The file is written whole or not at all, so that a run that is killed while writing continues from the epoch
    before. A run continues from the end of an epoch: the steps of an unfinished one are done again.

    Args:
        directory: str or `pathlib.Path`. The folder for the checkpoint.

    Example:
        >>> resume = kerassl.callbacks.Resume("runs/photos/checkpoints")
        >>> images = kerassl.datasets.image_folder("photos", 160, 64, initial_epoch=resume.epoch)
        >>> resume.restore(model)
        >>> model.fit(images, epochs=100, initial_epoch=resume.epoch, callbacks=[resume])

    Attributes:
        epoch: int, the number of epochs that were finished when the callback was made.
    """

    def __init__(self, directory):
        super().__init__()
        self.path = pathlib.Path(directory) / "last.npz"
        self.epoch = 0
        if self.path.exists():
            with np.load(self.path) as file:
                self.epoch = int(file["epoch"])

    def on_epoch_end(self, epoch, logs=None):
        if not np.all(np.isfinite([float(value) for value in (logs or {}).values()])):
            return  # the last good state is kept
        arrays = {f"weight_{i}": value.numpy() for i, value in enumerate(_state(self.model))}
        with _files.whole(self.path) as part:
            np.savez(part, epoch=epoch + 1, **arrays)

    def restore(self, model):
        """Takes up the last checkpoint, if there is one.

        Args:
            model: compiled and built `keras.Model`.

        Raises:
            UserError: if the checkpoint belongs to another network or optimiser; the model is unchanged then.
        """
        if not self.path.exists():
            return
        with model.distribute_strategy.scope():
            _compat.build_optimizer(model.optimizer, model.trainable_variables)
        state = _state(model)
        with np.load(self.path) as file:
            arrays = [file[f"weight_{i}"] for i in range(len(file.files) - 1)]
        if [array.shape for array in arrays] != [tuple(variable.shape) for variable in state]:
            raise UserError(
                f"{self.path} was written for another network or optimiser ({len(arrays)} arrays, here {len(state)}); "
                "use the settings of that run, or another folder"
            )
        for variable, array in zip(state, arrays):
            variable.assign(array)


def _state(model):
    return [*model.trainable_variables, *model.non_trainable_variables, *_compat.optimizer_variables(model.optimizer)]
