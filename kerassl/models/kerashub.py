"""Networks of KerasHub by name. KerasHub is no requirement of kerassl."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import pathlib
from typing import NamedTuple

import numpy as np

from kerassl._errors import UserError
from kerassl._io.arrays import reason
from kerassl._lazy import keras

PREFIX = "kerashub:"
"""Begins the name of a preset of KerasHub."""

_ANY_SIZE = ("dinov2", "dinov3")
_SIDE = 224  # theirs was 518, which takes 5 times as many patches; a multiple of 14 and 16

_SEEN = {
    "dinov2": "images without labels, selected for being like those of labeled data sets, by the weights that KerasHub "
    "publishes.",
    "dinov3": "images without labels, by the weights that KerasHub publishes.",
}


class Preset(NamedTuple):
    """A network of KerasHub, and how it takes images.

    Attributes:
        network: `keras.Model`.
        mean, deviation: lists of three floats, of pixels in [0, 1].
    """

    network: keras.Model
    mean: list[float]
    deviation: list[float]


def check_kerashub(name: str) -> None:
    """Refuse a preset where KerasHub is not installed. It takes neither Keras nor TensorFlow.

    Raises:
        UserError: in one line.
    """
    if importlib.util.find_spec("keras_hub") is None:
        raise UserError(f"{name} needs KerasHub, which is not installed; run: pip install keras-hub")


def load_preset(name: str, image_size: int | None = None) -> Preset:
    """Load a preset of KerasHub with its weights.

    Args:
        name: str, `kerashub:` and the name of a preset, or the folder of one.
        image_size: int or None. Side of its images in pixels; None is 224 for DINOv2 and DINOv3, else its own.

    Raises:
        UserError: in one line, if KerasHub is not installed, or the preset is unknown or cannot be downloaded or built.
    """
    check_kerashub(name)
    preset = name.removeprefix(PREFIX)
    try:
        hub = importlib.import_module("keras_hub")
    except Exception as error:  # it needs libraries of its own, and Keras 3
        raise UserError(f"{name} needs KerasHub, which cannot be imported ({reason(error)})") from error
    known = hub.models.Backbone.presets
    if preset not in known and "://" not in preset and not pathlib.Path(preset).is_dir():
        close = difflib.get_close_matches(preset, known, 1)
        hint = f"did you mean {close[0]}?" if close else "give one, as dinov2_small, or the folder of one"
        raise UserError(f"KerasHub has no preset {preset!r}; {hint}")
    if image_size is None and pathlib.Path(preset).name.startswith(_ANY_SIZE):
        image_size = _SIDE
    size = {} if image_size is None else {"image_shape": (image_size, image_size, 3)}
    try:
        network = hub.models.Backbone.from_preset(preset, **size)
        converter = hub.layers.ImageConverter.from_preset(preset)
    except Exception as error:  # a download fails in many ways, and so does a size
        at = "" if image_size is None else f" for images of {image_size} pixels"
        raise UserError(f"KerasHub's preset {preset} cannot be downloaded or built{at} ({reason(error)})") from error
    scale, offset = (
        np.broadcast_to(np.asarray(default if value is None else value, np.float64).reshape(-1), 3)
        for value, default in ((converter.scale, 1.0), (converter.offset, 0.0))
    )
    return Preset(network, (-offset / scale / 255.0).tolist(), (1.0 / scale / 255.0).tolist())


def seen_by_preset(name: str) -> str:
    """Return in words what the weights of a preset have seen."""
    preset = name.removeprefix(PREFIX)
    known = next((seen for family, seen in _SEEN.items() if preset.startswith(family)), None)
    return known or f"whatever KerasHub's {preset} was trained on; kerassl cannot tell."
