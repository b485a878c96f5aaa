"""Weights of detectors and localisers by name, which both Keras versions read."""

import logging
import pathlib

import numpy as np

from kerassl import _files
from kerassl._errors import UserError
from kerassl.backbones import weights as _weights

log = logging.getLogger("kerassl")


def save_weights(model, path, *, overwrite=False):
    """Saves the weights of a detector or a localiser by name, for either Keras version.

    A `.keras` file opens on the Keras version that wrote it alone; these weights go into a model that was built with
    the same arguments on the other.

    Args:
        model: `Detector`, `models.Localizer` or another `keras.Model`.
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
    with _files.whole(path, overwrite=overwrite) as part:
        np.savez(part, **table)
    return _weights.checksum(table)


def load_weights(model, path):
    """Puts weights that `save_weights` wrote into a model, whole or not at all.

    Args:
        model: built with the arguments of the one whose weights were saved.
        path: str or `pathlib.Path` of a `.npz` file.

    Returns:
        str, the checksum of the weights, as `save_weights` returned it. Their number is logged.

    Raises:
        UserError: if the file is missing or damaged, or one weight lacks its place or its match; the model is
            unchanged then.

    Example:
        >>> detector = kerassl.detectors.retinanet(kerassl.backbones.build("EfficientNetB1"), classes, image_size=256)
        >>> kerassl.detectors.load_weights(detector, "detector.npz")
    """
    table, _ = _weights.read(path)
    _weights.assign(model, table, path)
    checksum = _weights.checksum(table)
    log.info("%s: %d weights into %s, checksum %s", path, len(table), model.name, checksum[:16])
    return checksum
