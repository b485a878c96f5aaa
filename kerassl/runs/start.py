"""Weights that a network starts with."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterable

from kerassl import backbones
from kerassl._errors import UserError
from kerassl._lazy import keras
from kerassl.backbones.description import read_description
from kerassl.backbones.families import canonical, find
from kerassl.backbones.published import imagenet_file
from kerassl.config.config import Config
from kerassl.detectors import model_files
from kerassl.runs.plan.stages import Network, Stage

_SEEN = {
    "random": "no image before its fine-tuning.",
    "imagenet": "ImageNet, with labels, by the weights that Keras publishes.",
}


def start(network: Network, weights: str, seed: int) -> keras.Model:
    """Return the backbone that a training begins with.

    Args:
        network: `plan.Network`; `backbone` and `cut_at` are used.
        weights: `"random"`, `"imagenet"`, or the path of a file of weights, of a `backbone.keras`, or of a detector or
            localizer, whose backbone it is.
        seed: Int, of random weights.

    Returns:
        `keras.Model`.

    Raises:
        UserError: if the file is missing or does not fit, or holds a network that is not cut after `cut_at`.
    """
    if weights == "random":
        keras.utils.set_random_seed(seed)
        return backbones.build(network.backbone, cut_at=network.cut_at)
    if model_files.trained(weights) is not None:
        return backbones.with_fast_layers(model_files.load(weights).backbone)
    if not str(weights).endswith(".keras") or read_description(weights) is None:
        return backbones.build(network.backbone, weights=weights, cut_at=network.cut_at)
    backbone = backbones.load(weights)
    if network.cut_at is not None and backbone.layers[-1].name != network.cut_at:
        raise UserError(
            f"{weights} holds {backbone.name} up to {backbone.layers[-1].name}, but cut_at is {network.cut_at}; leave "
            "cut_at out, or give a file of the network that is cut there"
        )
    return backbone


def start_settings(
    backbone: str | os.PathLike | None, weights: str | os.PathLike | None, flag: str = "--backbone"
) -> dict:
    """Return as flags what the arguments `backbone` and `weights` change.

    Args:
        backbone: Str, the name of a network; or str or path of a `backbone.keras`, which is a network with weights.
        weights: `"random"`, `"imagenet"`, or str or path of a file of weights.
        flag: Str, what messages call `backbone`.

    Raises:
        UserError: in one line, if a file is missing or of another kind, or the two do not go together.
    """
    file = None if backbone is None or canonical(str(backbone)) else os.fspath(backbone)
    if weights is not None:
        weights = os.fspath(weights)
        check_start(weights, "--weights")
    if file is None or not file.endswith((".keras", ".h5", ".npz")):  # what is no network is refused by `check_network`
        network = None if weights is None or not weights.endswith(".keras") else _network(weights)
        if network is not None and backbone is not None and canonical(str(backbone)) != network:
            raise UserError(f"--weights is {weights}, which holds {network}, but {flag} is {backbone}; leave it out")
        return {"backbone": network or backbone, "weights": weights}
    if weights is not None:
        raise UserError(f"{flag} is {file}, a file with weights, but --weights is {weights}; leave one of them out")
    if not pathlib.Path(file).is_file():
        raise UserError(
            f"{flag} is {file}, but there is no such file; give the name of a network, as EfficientNetV2B0, or a file "
            "that has one, as backbone.keras"
        )
    if not file.endswith(".keras") or read_description(file) is None:
        raise UserError(
            f"{flag} is {file}, which kerassl.backbones.save did not write; give --weights {file}, and the name of "
            f"its network as {flag}"
        )
    return {"backbone": _network(file), "weights": file}


def _network(file):
    """The name of the network in a `backbone.keras`; None of one without a name, and of another `.keras` file."""
    described = read_description(file)
    return described["network"] if described is not None and described["known_network"] else None


def fetch_weights(stages: Iterable[Stage]) -> None:
    """Find or download the ImageNet weights that stages start with, before TensorFlow is loaded.

    Raises:
        UserError: in one line, if they are not there and cannot be downloaded.
    """
    for stage in stages:
        if stage.weights == "imagenet":
            imagenet_file(stage.network.backbone)


def check_network(config: Config) -> None:
    """Refuse an unknown network, before TensorFlow is loaded for it."""
    find(config.backbone)


def seen(start: str) -> str:
    """Return in words what a network has seen that begins with these weights."""
    return _SEEN.get(start, f"whatever {short_name(start)} was made from; kerassl cannot tell.")


def short_name(start: str) -> str:
    """Return what pages call the weights that a network begins with: of a file the last folder and the name."""
    return start if start in _SEEN else "/".join(pathlib.PurePath(start).parts[-2:])


def check_start(weights: str, name: str) -> None:
    """Refuse a file of weights that does not exist, before anything is trained.

    Args:
        weights: As of `start`.
        name: Str, the setting that names it.

    Raises:
        UserError: in one line.
    """
    if weights not in ("random", "imagenet") and not pathlib.Path(weights).is_file():
        others = "the name of a variant above " if name.startswith("variants.") else ""
        raise UserError(
            f"{name} is {weights}, but there is no such file; give random, imagenet, {others}or a .keras, .npz or .h5 "
            "file"
        )
