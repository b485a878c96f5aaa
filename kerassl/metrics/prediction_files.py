"""Detections in a file, between the command that makes them and the one that scores them."""

import json
import logging
import pathlib

import numpy as np

from kerassl._errors import UserError
from kerassl._io.files import whole
from kerassl._io.json import read_json
from kerassl.datasets.class_names import check_class_names
from kerassl.metrics.checks import by_name, check_classes, detections

log = logging.getLogger("kerassl")

_FORMAT = "kerassl predictions 1"
_WANTED = "give a file that `kerassl predict` wrote"


class Predictions(dict):
    """Detections by image id, with the names of their classes: what is scored is matched with the labels by name.

    A `dict` in all else; `dict(predictions)` and comprehensions drop the names.

    Args:
        images: mapping from image id to `{"boxes": [n, 4] xyxy in pixels of the original image, "scores": [n],
            "classes": [n]}`, or pairs of those.
        classes: sequence of str, the name of each class, or None if they are not known.

    Attributes:
        classes: as given; a list.

    Example:
        >>> predictions = kerassl.metrics.Predictions(found, ["cat", "dog"])
        >>> kerassl.metrics.voc_ap(predictions, records, ["dog", "cat"])["ap"]
    """

    def __init__(self, images=(), classes=None):
        super().__init__(images)
        self.classes = None if classes is None else check_class_names(classes)


def save_predictions(path, predictions, classes=None, *, overwrite=False):
    """Write detections and the names of their classes to a JSON file, which appears whole or not at all.

    Args:
        path: str or `pathlib.Path`.
        predictions: `Predictions`, or dict from image id to `{"boxes": [n, 4] xyxy in pixels of the original image,
            "scores": [n], "classes": [n]}`.
        classes: sequence of str, the names of the classes; None takes those of `Predictions`. A file without names
            is scored by the numbers of its classes, unchecked.
        overwrite: bool. Replace a file that is there already.

    Raises:
        UserError: if a part is missing, shapes do not fit, a number is not finite, a box is inverted, a class is
            beyond the names, or there is a file already and `overwrite` is false.

    Example:
        >>> kerassl.metrics.save_predictions("predictions.json", predictions, detector.class_names)
    """
    own = getattr(predictions, "classes", None)
    classes = own if classes is None else check_class_names(classes)
    rename = by_name(own, classes)
    images = {}
    for image_id, prediction in predictions.items():
        where = f"image {image_id!r}"
        boxes, scores, labels = detections(where, prediction)
        if str(image_id) in images:
            raise UserError(f"{where} is there twice, as a number and as a string; give each image once")
        if classes is not None:
            check_classes(where, labels, len(classes))
        labels = rename(labels)
        images[str(image_id)] = {"boxes": boxes.tolist(), "scores": scores.tolist(), "classes": labels.tolist()}
    content = {"format": _FORMAT, **({} if classes is None else {"classes": list(classes)}), "images": images}
    with whole(path, overwrite=overwrite) as part:
        part.write_text(json.dumps(content), encoding="utf-8")


def load_predictions(path):
    """Read detections from a file that `save_predictions` wrote.

    Args:
        path: str or `pathlib.Path`.

    Returns:
        `Predictions`, a dict from image id to `{"boxes": float64 [n, 4], "scores": float64 [n], "classes": int32 [n]}`
        with the names of the classes; None, and a line in the log, for a file without names.

    Raises:
        UserError: if there is no such file or it does not hold predictions.

    Example:
        >>> kerassl.metrics.load_predictions("predictions.json")["000012"]["scores"]
    """
    path = pathlib.Path(path)
    if not path.exists():
        raise UserError(f"there is no file of predictions at {path}; `kerassl predict` writes one")
    return predictions_of(read_json(path, _WANTED), path)


def predictions_of(content, path):
    """What `load_predictions` returns, of what stands in the file."""
    if not isinstance(content, dict) or content.get("format") != _FORMAT or not isinstance(content.get("images"), dict):
        raise UserError(f"{path} does not hold predictions; {_WANTED}")
    names = content.get("classes")
    if names is None:
        log.warning("%s has no class names: its classes are taken by their numbers and cannot be checked", path)
    elif not isinstance(names, list):
        raise UserError(f"{path} has the classes {str(names)[:80]!r}, which are no list of names; {_WANTED}")
    try:
        predictions = Predictions((), names)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    for image_id, prediction in content["images"].items():
        where = f"image {image_id!r} in {path}"
        boxes, scores, classes = detections(where, prediction)
        if names is not None:
            check_classes(where, classes, len(names))
        predictions[image_id] = {"boxes": boxes, "scores": scores, "classes": classes.astype(np.int32)}
    return predictions
