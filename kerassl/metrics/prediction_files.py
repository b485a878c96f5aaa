"""Detections in a file, between the command that makes them and the one that scores them."""

from __future__ import annotations

import json
import logging
import os
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from kerassl._errors import UserError
from kerassl._io.files import whole
from kerassl._io.json import read_json
from kerassl.datasets.class_names import check_class_names
from kerassl.metrics.checks import Renaming, arrays, check_classes
from kerassl.types import Detections

log = logging.getLogger("kerassl")

_FORMAT = "kerassl predictions 1"
_WANTED = "give a file that `kerassl predict` wrote"
_ARRAYS = ("boxes", "scores", "classes")


def save_predictions(
    path: str | os.PathLike,
    predictions: Mapping[str, Detections],
    classes: Sequence[str] | None = None,
    *,
    overwrite: bool = False,
) -> None:
    """Write detections and their class names to a JSON file, which appears whole or not at all.

    Args:
        path: str or `pathlib.Path`.
        predictions: dict from image id to `Detections`. Logits are not written.
        classes: sequence of str, the class names; None takes those of the detections. A file without class names is
            scored by class indices, unchecked.
        overwrite: bool. Replace an existing file.

    Raises:
        UserError: if a value is not finite, a box is inverted, a class is beyond the class names, or the file exists
            and `overwrite` is false.

    Example:
        >>> kerassl.metrics.save_predictions("predictions.json", kerassl.predict(detector, "photos/"))
    """
    if classes is None:
        classes = next((found.class_names for found in predictions.values() if found.class_names is not None), None)
    classes = None if classes is None else check_class_names(classes)
    rename = Renaming(classes)
    images = {}
    for image_id, found in predictions.items():
        where = f"image {image_id!r}"
        boxes, scores, labels = arrays(where, found)
        if str(image_id) in images:
            raise UserError(f"{where} is there twice, as a number and as a string; give each image once")
        if classes is not None:
            check_classes(where, labels, len(classes))
        labels = rename(found, labels)
        images[str(image_id)] = dict(zip(_ARRAYS, (boxes.tolist(), scores.tolist(), labels.tolist())))
    content = {"format": _FORMAT, **({} if classes is None else {"classes": list(classes)}), "images": images}
    with whole(path, overwrite=overwrite) as part:
        part.write_text(json.dumps(content), encoding="utf-8")


def load_predictions(path: str | os.PathLike) -> dict[str, Detections]:
    """Read detections from a file that `save_predictions` wrote.

    Args:
        path: str or `pathlib.Path`.

    Returns:
        Dict from image id to `Detections` with the class names of the file. A file without class names is noted in the
        log.

    Raises:
        UserError: if there is no such file or it does not contain predictions.

    Example:
        >>> kerassl.metrics.load_predictions("predictions.json")["000012"].scores
    """
    path = pathlib.Path(path)
    if not path.exists():
        raise UserError(f"there is no file of predictions at {path}; `kerassl predict` writes one")
    return predictions_of(read_json(path, _WANTED), path)


def predictions_of(content, path):
    """Return the predictions in the content of a file, as `load_predictions` does."""
    if not isinstance(content, dict) or content.get("format") != _FORMAT or not isinstance(content.get("images"), dict):
        raise UserError(f"{path} does not contain predictions; {_WANTED}")
    names = content.get("classes")
    if names is None:
        log.warning("%s has no class names: its classes are taken by their numbers and cannot be checked", path)
    elif not isinstance(names, list):
        raise UserError(f"{path} has the classes {str(names)[:80]!r}, which are not a list of names; {_WANTED}")
    try:
        names = None if names is None else check_class_names(names)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return {image_id: _read(f"image {image_id!r} in {path}", one, names) for image_id, one in content["images"].items()}


def _read(where, content, names):
    if not isinstance(content, dict) or not content.keys() >= set(_ARRAYS):
        raise UserError(f"{where} has no detections; an image has 'boxes' [n, 4], 'scores' [n] and 'classes' [n]")
    try:
        found = Detections(*(content[key] for key in _ARRAYS), names)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    boxes, scores, labels = arrays(where, found)
    if names is not None:
        check_classes(where, labels, len(names))
    return Detections(boxes, scores, labels.astype(np.int32), names)
