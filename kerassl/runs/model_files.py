"""Trained models in files."""

import dataclasses

from kerassl import detectors
from kerassl._errors import UserError
from kerassl._io.keras_file import open_model, read_keras_file

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


def describe(path):
    """What a `.keras` file holds, read without Keras.

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


def check_model(path):
    """`describe` that refuses what is neither a detector nor a localizer."""
    found = describe(path)
    if not found.classes:
        raise UserError(f"{path} holds a {found.kind}, which is neither a detector nor a localiser; {_WANTED}")
    return found


def load(path):
    """A detector or localiser from its file."""
    model = open_model(path, _WANTED)
    if not isinstance(model, (detectors.Detector, detectors.Localizer)):
        raise UserError(f"{path} is a {type(model).__name__}; {_WANTED}")
    return model
