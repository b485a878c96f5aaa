"""The weights of a detector's or localiser's neck and box head, which know no class."""

import types

from kerassl.backbones import weights as _weights
from kerassl.backbones.parts import parts
from kerassl.detectors.weights import load_weights, save_weights


def save_neck(detector, path, *, overwrite=False):
    """Saves the weights of a detector's or localiser's neck and box head by name, for either Keras version.

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


def load_neck(detector, path):
    """Puts weights that `save_neck` wrote into a detector, whole or not at all. Its classes may be others.

    Args:
        detector: `Detector` or `detectors.Localizer` of the same kind and `num_filters`, over a backbone of the same
            network.
        path: str or `pathlib.Path` of a `.npz` file.

    Returns:
        str, the checksum of the weights, as `save_neck` returned it. Their number is logged.

    Raises:
        UserError: if the file is missing or damaged, or one weight lacks its place or its match; the detector is
            unchanged then.

    Example:
        >>> kerassl.detectors.load_neck(detector, "neck.npz")
    """
    return load_weights(_neck(detector), path)


def copy_neck(source, target):
    """Puts the weights of one detector's neck and box head into another's, by name, all of them or none.

    Args:
        source, target: `Detector`s or `detectors.Localizer`s that differ in their classes alone.

    Returns:
        Dict from `"<layer>/<weight>"` to `np.ndarray`, what was moved.

    Raises:
        UserError: if a weight lacks its place or its match; the target is unchanged then.
    """
    table = _weights.table(_neck(source))
    _weights.assign(_neck(target), table, source.name)
    return table


def _neck(detector):
    """Neck and box head as what has a name and layers; all else of the head tells classes."""
    found = parts(detector)
    box = [layer for layer in found["head"] if not layer.name.startswith("class")]
    return types.SimpleNamespace(name=f"the neck and box head of {detector.name}", layers=[*found["neck"], *box])
