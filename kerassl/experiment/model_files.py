"""Trained models in files."""

import dataclasses
import json
import pathlib
import zipfile

from kerassl import detectors, models
from kerassl._errors import UserError
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


def describe(path):
    """What a `.keras` file holds, read without Keras.

    Args:
        path: str or `pathlib.Path`.

    Returns:
        `Described`.

    Raises:
        UserError: if there is no such file, or it is no whole `.keras` file.
    """
    if not pathlib.Path(path).is_file():
        raise UserError(f"there is no model {path}; {_WANTED}")
    try:
        with zipfile.ZipFile(path) as archive:
            content = json.loads(archive.read("config.json"))
        kind, config = content["class_name"], content["config"]
        classes, size = config.get("classes"), config.get("image_size")
        return Described(kind, () if kind in _OTHERS else tuple(map(str, classes or ())), size and int(size))
    except Exception as error:  # a damaged archive raises almost anything
        reason = (str(error) or type(error).__name__).splitlines()[0][:160]
        raise UserError(f"{path} does not open as a .keras file ({reason}); {_WANTED}") from error


def check_model(path):
    """`describe` that refuses what is neither a detector nor a localizer."""
    found = describe(path)
    if not found.classes:
        raise UserError(f"{path} holds a {found.kind}, which is neither a detector nor a localiser; {_WANTED}")
    return found


def load(path):
    """A detector or localiser from its file."""
    check_model(path)
    # Keras finds classes by name once they are loaded.
    kinds = (detectors.Detector, models.Localizer, detectors.RetinaNet, detectors.YOLOV8)
    try:
        model = keras.saving.load_model(path)
    except (ValueError, OSError, TypeError) as error:
        reason = str(error).splitlines()[0][:160]
        raise UserError(f"{path} does not open as a detector or localiser of this Keras version ({reason})") from error
    if not isinstance(model, kinds):
        raise UserError(f"{path} is a {type(model).__name__}; {_WANTED}")
    return model
