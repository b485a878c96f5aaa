"""Backbone files: whole, checked, readable by plain Keras and by the other stack."""

from __future__ import annotations

import io
import json
import os
import pathlib
import zipfile

import numpy as np

from kerassl import _compat
from kerassl._compat import keras
from kerassl._errors import UserError
from kerassl._io import files as _files
from kerassl._io.keras_file import open_model
from kerassl._version import __version__
from kerassl.backbones import architectures, fast_layers
from kerassl.backbones import weights as _weights
from kerassl.backbones.description import DESCRIPTION
from kerassl.backbones.families import canonical


def save(backbone: keras.Model, path: str | os.PathLike, *, overwrite: bool = False) -> str:
    """Save a backbone as a `.keras` file that plain `keras.saving.load_model` opens without kerassl.

    The file holds Keras's own layers in place of the fast ones, and beside Keras's parts the weights by name, the
    name of the network and a checksum, from which the other Keras version rebuilds it.

    Args:
        backbone: flat functional `keras.Model`, as `build` gives it.
        path: str or `pathlib.Path` that ends in `.keras`. Written whole.
        overwrite: bool. Replace a file that is there already.

    Returns:
        str, the checksum of the weights.

    Raises:
        UserError: if `path` does not end in `.keras`, or a file is there already and `overwrite` is false.

    Example:
        >>> kerassl.backbones.save(model.backbone, "backbone.keras")
    """
    path = pathlib.Path(path)
    if path.suffix != ".keras":
        raise UserError(f"a backbone is saved as a .keras file, not as {path.name}; try {path.stem}.keras")
    weights = _weights.table(backbone)
    family = canonical(backbone.name)
    description = {
        "network": family or backbone.name,
        "cut_at": backbone.layers[-1].name,
        "known_network": family is not None,
        "input_scale": _input_scale(backbone),
        "checksum": _weights.checksum(weights),
        "kerassl": __version__,
        "keras": _compat.KERAS_VERSION,
    }
    packed = io.BytesIO()
    np.savez(packed, **weights)  # type: ignore[arg-type]
    with _files.whole(path, overwrite=overwrite) as part:
        fast_layers.with_keras_layers(backbone).save(part)
        with zipfile.ZipFile(part, "a") as archive:
            archive.writestr(_weights.WEIGHTS, packed.getvalue())
            archive.writestr(DESCRIPTION, json.dumps(description, indent=1))
    return description["checksum"]


def _input_scale(backbone):
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.Normalization):
            return [np.ravel(layer.mean).tolist(), np.ravel(layer.variance).tolist()]
    return None


def load(path: str | os.PathLike) -> keras.Model:
    """Load a backbone that `save` wrote, on either Keras version, with the fast layers.

    Args:
        path: str or `pathlib.Path` of a `.keras` file.

    Returns:
        Functional `keras.Model`, as `build` gives it.

    Raises:
        UserError: if the file is missing or damaged, or holds a network that this Keras version cannot rebuild.

    Example:
        >>> backbone = kerassl.backbones.load("backbone.keras")
    """
    path = pathlib.Path(path)
    if path.suffix != ".keras":
        raise UserError(f"{path} is not a .keras file; give a file of weights alone to backbones.build(weights=…)")
    weights, description = _weights.read(path)
    if description is None:
        raise UserError(
            f"{path} was not written by kerassl.backbones.save; give it to backbones.build(NAME, weights=…), or save "
            "the backbone of kerassl.load(path)"
        )
    if description["known_network"]:
        if description["input_scale"]:
            mean, variance = description["input_scale"]
            weights.update({"normalization/mean": mean, "normalization/variance": variance})
        return architectures.from_table(description["network"], weights, path, cut_at=description["cut_at"])
    model = open_model(path, "give a backbone.keras that kerassl.backbones.save wrote", compile=False)
    return fast_layers.with_fast_layers(model)
