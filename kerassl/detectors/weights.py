"""Weights of detectors and localisers by name, which both Keras versions read."""

import json
import logging
import pathlib

import numpy as np

from kerassl._errors import UserError
from kerassl._io import files as _files
from kerassl.backbones import weights as _weights
from kerassl.metrics.checks import class_places

log = logging.getLogger("kerassl")


def save_weights(model, path, *, overwrite=False):
    """Save the weights of a detector or a localizer by name, and the names of its classes, for either Keras version.

    A `.keras` file opens on the Keras version that wrote it alone; these weights go into a model that was built with
    the same arguments on the other.

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
        np.savez(part, **table, **about)
    return _weights.checksum(table)


def load_weights(model, path):
    """Puts weights that `save_weights` wrote into a model, whole or not at all.

    Args:
        model: built with the arguments of the one whose weights were saved.
        path: str or `pathlib.Path` of a `.npz` file.

    Returns:
        str, the checksum of the weights, as `save_weights` returned it. Their number is logged.

    Raises:
        UserError: if the file is missing or damaged, it is of other classes or of another order of them, or one weight
            lacks its place or its match; the model is unchanged then.

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
            f"the weights in {path} are of the classes {', '.join(names)}, and the model has them in another order "
            f"({', '.join(own)}); build the model with class_names={list(names)}"
        )
