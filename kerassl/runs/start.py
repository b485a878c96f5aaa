"""What a network begins with."""

import pathlib

from kerassl import backbones
from kerassl._errors import UserError
from kerassl._lazy import keras
from kerassl.backbones.families import canonical


def start(config, weights):
    """The backbone that a training begins with.

    Args:
        config: `Config`; `backbone`, `cut_at` and `seed` are used.
        weights: `"random"`, `"imagenet"`, or the path of a file of weights or of a `backbone.keras`.

    Returns:
        `keras.Model`.

    Raises:
        UserError: if the file is missing or does not fit, or holds a network that is not cut after `cut_at`.
    """
    if weights == "random":
        keras.utils.set_random_seed(config.seed)
        return backbones.build(config.backbone, cut_at=config.cut_at)
    if not str(weights).endswith(".keras"):
        return backbones.build(config.backbone, weights=weights, cut_at=config.cut_at)
    backbone = backbones.load(weights)
    if config.cut_at is not None and backbone.layers[-1].name != config.cut_at:
        raise UserError(
            f"{weights} holds {backbone.name} up to {backbone.layers[-1].name}, but cut_at is {config.cut_at}; leave "
            "cut_at out, or give a file of the network that is cut there"
        )
    return backbone


def check_network(config):
    """Refuses a network that is not known, before TensorFlow is loaded for it."""
    if canonical(config.backbone) is None:
        raise UserError(f"there is no network {config.backbone!r}; there are {', '.join(backbones.list_backbones())}")


def check_start(weights, name):
    """Refuses a file of weights that is not there, before anything is trained.

    Args:
        weights: as of `start`.
        name: str. The setting that names it.

    Raises:
        UserError: in one line.
    """
    if weights not in ("random", "imagenet") and not pathlib.Path(weights).is_file():
        raise UserError(
            f"{name} is {weights}, but there is no such file; give random, imagenet, the name of a variant above "
            "or a .keras, .npz or .h5 file"
        )
