"""Views of pre-training by name, its length by the number of images, and when something else is the better advice."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from typing import Any

from kerassl._errors import UserError
from kerassl.config.config import Config
from kerassl.config.schema import Dense

VIEWS: Mapping[str, Mapping[str, float]] = {
    "mild": {"smallest_crop": 0.2, "strength": 0.5},
    "strong": {"smallest_crop": 0.08, "strength": 1.0},
}
"""Settings of the views by name: milder ones, for small networks, and SimCLR's own."""

METHODS = ("simclr", "dense")
"""Contrast of whole images, and of locations, too."""

FEW = 10_000
"""Images below which other ways were measured to give more than contrast from random initialization."""

LEARNS = 100_000
"""Images that a pre-training sees: 25 epochs of 4,000 improved an EfficientNetB1, and 10 did harm to a MobileNet."""


def with_epochs(config: Config, images: int | None) -> Config:
    """Return a configuration whose pre-training sees 100,000 images, in 10 to 200 epochs, if it names no epochs.

    Args:
        config: `Config`.
        images: Int, how many there are, or None, which leaves the default.
    """
    if not images or "epochs" in config.pretrain.model_fields_set:
        return config
    epochs = min(max(math.ceil(LEARNS / images), 10), 200)
    return config.model_copy(update={"pretrain": config.pretrain.model_copy(update={"epochs": epochs})})


def view_settings(views: str | None) -> dict[str, Any]:
    """Return as flags the settings of views by their name; none for None.

    Raises:
        UserError: if there are none of that name.
    """
    if views is None:
        return {}
    if views not in VIEWS:
        raise UserError(f"views is {views!r}; give mild, for small networks, or strong, SimCLR's own")
    return {f"pretrain.{key}": value for key, value in VIEWS[views].items()}


def with_method(config: Config, method: str | None) -> Config:
    """Return a configuration with a method; that of the section `pretrain` for None.

    Raises:
        UserError: if there is no such method.
    """
    if method is None:
        return config
    if method not in METHODS:
        raise UserError(f"method is {method!r}; give simclr, contrast of whole images, or dense, of locations, too")
    dense = (config.pretrain.dense or Dense()) if method == "dense" else None
    return config.model_copy(update={"pretrain": config.pretrain.model_copy(update={"dense": dense})})


def pretraining_advice(weights: str, backbone: str, folder: str, images: int, out: str) -> str | None:
    """Return a line on what was measured to give more than a pre-training, with commands; None where nothing was.

    Args:
        weights: Str, those that it begins with.
        backbone: Str, the network's name.
        folder: Str, the path of the images.
        images: Int > 0, how many there are.
        out: Str, the folder of the run.
    """
    folder, out = shlex.quote(folder), out.rstrip("/")
    taught = f"kerassl self-train --data LABELS --images {folder} --out {shlex.quote(out + '-self-train')}"
    if weights == "imagenet":
        return f"advice: contrast added nothing to ImageNet weights; if you have labels, they start {taught}"
    if weights != "random" or images >= FEW:
        return None
    return (
        f"advice: {images} images are few to learn from alone, ImageNet weights gave more wherever both were measured: "
        f"with labels {taught}, which starts from them; without, kerassl distill --teacher MobileNet "
        f"--student {backbone} --images {folder} --out {shlex.quote(out + '-distilled')}"
    )
