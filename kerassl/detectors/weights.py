"""Weights of detectors and localizers by name, which both Keras versions read."""

from __future__ import annotations

import json
import logging
import os
import pathlib
import types
from collections.abc import Sequence

import numpy as np

from kerassl._compat import keras
from kerassl._errors import UserError
from kerassl._io import files as _files
from kerassl.backbones import weights as _weights
from kerassl.backbones.fast_layers import with_fast_layers
from kerassl.backbones.parts import parts
from kerassl.datasets.class_names import check_order
from kerassl.detectors.supervised import Supervised
from kerassl.metrics.checks import class_places

log = logging.getLogger("kerassl")


def save_weights(model: keras.Model, path: str | os.PathLike, *, overwrite: bool = False) -> str:
    """Save the weights of a detector or a localizer by name, and the names of its classes, for either Keras version.

    A `.keras` file opens on the Keras version that wrote it; these weights also fit a model that was built with the
    same arguments on the other.

    Args:
        model: `Detector`, `detectors.Localizer` or another `keras.Model`.
        path: str or `pathlib.Path` that ends in `.npz`. Written whole.
        overwrite: bool. Replace a file that is there already.

    Returns:
        str, the checksum of the weights.

    Raises:
        UserError: if `path` does not end in `.npz`, or a file is there already and `overwrite` is false.

    Example:
        >>> kerassl.detectors.save_weights(detector, "detector.npz")
    """
    path = pathlib.Path(path)
    if path.suffix != ".npz":
        raise UserError(f"weights by name are saved as a .npz file, not as {path.name}; try {path.stem}.npz")
    table = _weights.table(model)
    names = getattr(model, "class_names", None)
    about = {} if names is None else {_weights.CLASSES: np.array(json.dumps(list(names)))}
    with _files.whole(path, overwrite=overwrite) as part:
        np.savez(part, **{**table, **about})  # type: ignore[arg-type]
    return _weights.checksum(table)


def load_weights(model: keras.Model, path: str | os.PathLike) -> str:
    """Load weights that `save_weights` wrote into a model, whole or not at all.

    Args:
        model: built with the arguments of the one whose weights were saved.
        path: str or `pathlib.Path` of a `.npz` file.

    Returns:
        str, the checksum of the weights, as `save_weights` returned it. Their number is logged.

    Raises:
        UserError: if the file is missing or damaged, its classes or their order differ, or a weight is missing, unknown
            or of another shape; the model is unchanged then.

    Example:
        >>> detector = kerassl.detectors.RetinaNet(kerassl.backbones.build("EfficientNetB1"), classes, image_size=256)
        >>> kerassl.detectors.load_weights(detector, "detector.npz")
    """
    table, about = _weights.read(path)
    _check_classes(model, (about or {}).get("classes"), path)
    _weights.assign(model, table, path)
    checksum = _weights.checksum(table)
    log.info("%s: %d weights into %s, checksum %s", path, len(table), model.name, checksum[:16])
    return checksum


def save_neck(detector: keras.Model, path: str | os.PathLike, *, overwrite: bool = False) -> str:
    """Save the weights of a detector's or localizer's neck and box head by name, for either Keras version.

    Args:
        detector: `detectors.RetinaNet`, `detectors.YOLOV8` or `detectors.Localizer`.
        path: str or `pathlib.Path` that ends in `.npz`. Written whole.
        overwrite: bool. Replace a file that is there already.

    Returns:
        str, the checksum of the weights.

    Raises:
        UserError: if `path` does not end in `.npz`, or a file is there already and `overwrite` is false.

    Example:
        >>> kerassl.detectors.pretrain_neck(detector, "photos/")
        >>> kerassl.detectors.save_neck(detector, "neck.npz")
    """
    return save_weights(_neck(detector), path, overwrite=overwrite)


def load_neck(detector: keras.Model, path: str | os.PathLike) -> str:
    """Load weights that `save_neck` wrote into a detector, whole or not at all. Its classes may differ.

    Args:
        detector: `Detector` or `detectors.Localizer` of the same kind and `num_filters`, over a backbone of the same
            network.
        path: str or `pathlib.Path` of a `.npz` file.

    Returns:
        str, the checksum of the weights, as `save_neck` returned it. Their number is logged.

    Raises:
        UserError: if the file is missing or damaged, or a weight is missing, unknown or of another shape; the detector
            is unchanged then.

    Example:
        >>> kerassl.detectors.load_neck(detector, "neck.npz")
    """
    return load_weights(_neck(detector), path)


def for_classes(model: Supervised, class_names: Sequence[str], image_size: int | None = None) -> Supervised:
    """Build a detector or localizer again, with its weights, to train it on other labels.

    Args:
        model: `Detector` or `detectors.Localizer`, which is unchanged.
        class_names: sequence of str. Where they are the model's own, all weights are kept; where they are others, those
            of the class head are random.
        image_size: int, a multiple of 32, or None for the model's own.

    Returns:
        Model of the same class, which is not compiled, with nothing frozen.

    Raises:
        UserError: if the classes are the model's own in another order.

    Example:
        >>> detector = kerassl.detectors.for_classes(kerassl.load("detector.keras"), ["raccoon"])
    """
    check_order(model.class_names, class_names, model.name)
    backbone = with_fast_layers(model.backbone)
    for layer in backbone.layers:
        layer.trainable = True
    settings = model.get_config()
    for key in ("name", "trainable", "backbone", "class_names", "image_size"):
        del settings[key]
    again = type(model)(backbone, list(class_names), image_size or model.image_size, **settings)
    if list(class_names) == list(model.class_names):
        _weights.assign(again, _weights.table(model), model.name)
    else:
        copy_neck(model, again)
    return again


def copy_neck(source: keras.Model, target: keras.Model) -> dict[str, np.ndarray]:
    """Copy the weights of one detector's neck and box head to another's by name, all of them or none.

    Args:
        source, target: `Detector`s or `detectors.Localizer`s that differ in their classes alone.

    Returns:
        Dict from `"<layer>/<weight>"` to `np.ndarray`, what was copied.
    """
    table = _weights.table(_neck(source))
    _weights.assign(_neck(target), table, source.name)
    return table


def _check_classes(model, names, path):
    own = getattr(model, "class_names", None)
    if own is None:
        return
    if names is None:
        log.warning("%s has no class names: whether they are those of %s cannot be checked", path, model.name)
        return
    class_places(names, own, f"the weights in {path}", "the model")
    if list(names) != list(own):
        raise UserError(
            f"the weights in {path} have the classes {', '.join(names)}, and the model has them in another order "
            f"({', '.join(own)}); build the model with class_names={list(names)}"
        )


def _neck(detector):
    """Neck and box head as an object with a name and layers; the rest of the head depends on the classes."""
    found = parts(detector)
    box = [layer for layer in found["head"] if not layer.name.startswith("class")]
    return types.SimpleNamespace(name=f"the neck and box head of {detector.name}", layers=[*found["neck"], *box])
