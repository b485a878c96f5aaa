"""Trained models in files, and the runs that they are from."""

from __future__ import annotations

import dataclasses
import logging
import os
import pathlib

from kerassl import detectors
from kerassl._errors import UserError
from kerassl._io.keras_file import open_model, read_keras_file
from kerassl._io.state import read_kept
from kerassl._io.yaml import read_yaml
from kerassl._lazy import keras

log = logging.getLogger("kerassl")

_WANTED = "give a detector.keras or localizer.keras of a run"
_OTHERS = ("SimCLR", "DenseSimCLR", "FeatureDistillation", "ViewClassifier")


@dataclasses.dataclass(frozen=True)
class Described:
    """Description of a model, from its file.

    Attributes:
        kind: str, the name of its class.
        class_names: tuple of str, empty of what is neither a detector nor a localizer.
        image_size: int in pixels, or None of a network alone.
        num_filters: int, channels of its neck or heads, or None.
        levels: tuple of str, what the neck of a localizer takes of its backbone; empty of others.
    """

    kind: str
    class_names: tuple
    image_size: int | None
    num_filters: int | None = None
    levels: tuple = ()

    @property
    def task(self) -> str:
        """Kind of training: `"localizer"`, `"detector"`, or `""` for neither."""
        return "" if not self.class_names else "localizer" if self.kind == "Localizer" else "detector"

    def settings(self) -> dict:
        """Return as flags what it sets of its section."""
        if self.task == "localizer":
            return {"localizer.levels": list(self.levels)}
        return {"detector.kind": self.kind.lower(), "detector.num_filters": self.num_filters}


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
    classes, size = config.get("class_names"), config.get("image_size")
    if not isinstance(classes, (list, tuple, type(None))) or not isinstance(size, (int, type(None))):
        raise UserError(f"{path} is damaged: its classes or its image size are none; save the model again")
    names = () if found.kind in _OTHERS else tuple(map(str, classes or ()))
    return Described(found.kind, names, size, config.get("num_filters"), tuple(config.get("levels") or ()))


def check_model(path: str | os.PathLike | keras.Model) -> Described:
    """Return what `describe` does, of a model too; refuse what is neither a detector nor a localizer."""
    if not isinstance(path, (str, os.PathLike)):
        return Described(type(path).__name__, tuple(path.class_names), path.image_size)
    found = describe(path)
    if not found.class_names:
        raise UserError(f"{path} holds a {found.kind}, which is neither a detector nor a localizer; {_WANTED}")
    return found


def trained(weights: str | os.PathLike | None) -> Described | None:
    """Return what `describe` does of the file of a detector or localizer; None of any other start."""
    if weights is None or pathlib.Path(weights).suffix != ".keras" or not pathlib.Path(weights).is_file():
        return None
    found = describe(weights)
    return found if found.task else None


def load(path: str | os.PathLike | keras.Model) -> keras.Model:
    """Return a detector or localizer from its file; a model as it is."""
    if not isinstance(path, (str, os.PathLike)):
        return path
    model = open_model(path, _WANTED)
    if not isinstance(model, (detectors.Detector, detectors.Localizer)):
        raise UserError(f"{path} is a {type(model).__name__}; {_WANTED}")
    return model


def run_card(path: str | os.PathLike) -> dict:
    """Return data, settings and figures of the run that a model's file is in, for the card of its servable.

    Args:
        path: Str or path of a `detector.keras` or `localizer.keras`; in a comparison it is two folders below
            `config.yaml`.

    Returns:
        Dict of those of `data`, `training`, `backbone` and `metrics` that are there; empty for a model without a run.
    """
    path = pathlib.Path(path).resolve()
    card = {}
    figures = path.with_suffix(".json")
    kept = read_kept(figures)
    if kept is not None:
        card["metrics"] = kept
    for folder in path.parents[:3]:
        if (folder / "config.yaml").is_file():
            config = _settings(folder / "config.yaml")
            card |= {"data": config.get("data"), "backbone": config.get("backbone"), "training": config.get(path.stem)}
            break
    return card


def _settings(path):
    remedy = "the card goes without data and settings"
    try:
        config = read_yaml(path, remedy)
    except UserError as error:
        log.warning("%s", error)
        return {}
    if not isinstance(config, dict):
        log.warning("%s holds no settings; %s", path, remedy)
        return {}
    return config
