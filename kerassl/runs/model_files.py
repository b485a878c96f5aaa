"""Trained models in files."""

from __future__ import annotations

import dataclasses
import os

from kerassl import detectors
from kerassl._errors import UserError
from kerassl._io.keras_file import open_model, read_keras_file
from kerassl._lazy import keras

_WANTED = "give a detector.keras or localizer.keras of a run"
_OTHERS = ("SimCLR", "DenseSimCLR", "ViewClassifier")


@dataclasses.dataclass(frozen=True)
class Described:
    """What a model's file says of the model.

    Attributes:
        kind: str, the name of its class.
        classes: tuple of str, empty of what is neither a detector nor a localizer.
        image_size: int in pixels, or None of a network alone.
    """

    kind: str
    classes: tuple
    image_size: int | None


def describe(path: str | os.PathLike) -> Described:
    """Return what a `.keras` file holds, read without Keras.

    Args:
        path: str or `pathlib.Path`.

    Returns:
        `Described`.

    Raises:
        UserError: if there is no such file, or it is no whole `.keras` file.
    """
    found = read_keras_file(path, _WANTED)
    config = found.config["config"]
    classes, size = config.get("classes"), config.get("image_size")
    if not isinstance(classes, (list, tuple, type(None))) or not isinstance(size, (int, type(None))):
        raise UserError(f"{path} is damaged: its classes or its image size are none; save the model again")
    return Described(found.kind, () if found.kind in _OTHERS else tuple(map(str, classes or ())), size)


def check_model(path: str | os.PathLike | keras.Model) -> Described:
    """Return what `describe` does, of a model too; refuse what is neither a detector nor a localizer."""
    if not isinstance(path, (str, os.PathLike)):
        return Described(type(path).__name__, tuple(path.classes), path.image_size)
    found = describe(path)
    if not found.classes:
        raise UserError(f"{path} holds a {found.kind}, which is neither a detector nor a localizer; {_WANTED}")
    return found


def load(path: str | os.PathLike | keras.Model) -> keras.Model:
    """Return a detector or localizer from its file; a model as it is."""
    if not isinstance(path, (str, os.PathLike)):
        return path
    model = open_model(path, _WANTED)
    if not isinstance(model, (detectors.Detector, detectors.Localizer)):
        raise UserError(f"{path} is a {type(model).__name__}; {_WANTED}")
    return model
