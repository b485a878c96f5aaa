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
from kerassl._io.parts import part_outputs
from kerassl.datasets.class_names import check_class_names
from kerassl.metrics.checks import Renaming, arrays, check_classes
from kerassl.metrics.prediction_labels import read_csv, read_voc, read_yolo
from kerassl.types import Detections

log = logging.getLogger("kerassl")

DESCRIPTION = "predictions of kerassl"
"""The `info` of a COCO json of predictions."""

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
    """Read detections from a file that `save_predictions` or `kerassl predict` wrote.

    Args:
        path: str or `pathlib.Path` of the file, of the folder that `kerassl predict` wrote (in the format `coco`,
            `voc` or `csv`; `evaluate` reads `yolo`, too), or of the folder of all its parts.

    Returns:
        Dict from image id, or the image's file name, to `Detections` with the class names of the file. A file without
        class names is noted in the log.

    Raises:
        UserError: if there is no such file or it does not contain predictions.

    Example:
        >>> kerassl.metrics.load_predictions("predictions.json")["000012"].scores
    """
    found, shares = predictions_at(path)
    if shares:
        raise UserError(f"{path} holds boxes of YOLO, in shares of the images' sides; evaluate reads them with labels")
    return found


def predictions_at(path: str | os.PathLike, classes: int | None = None) -> tuple[dict[str, Detections], bool]:
    """Read detections as `load_predictions` does; with whether their boxes are shares of the images' sides, as YOLO's.

    Args:
        path: see `load_predictions`.
        classes: int, how many there are, if known, to refuse the line of another one in files without class names.
    """
    path = pathlib.Path(path)
    parts = part_outputs(path)
    if not parts:
        return _read_one(path, classes)
    found: dict[str, Detections] = {}
    shares = False
    for part in parts:
        some, shares = _read_one(part, classes)
        if not found.keys().isdisjoint(some):
            raise UserError(f"{part} has images of another part; give the folder of the parts of one run")
        found.update(some)
    return found, shares


def _read_one(path, classes):
    if path.suffix.lower() == ".csv" or (path / "predictions.csv").is_file():
        return read_csv(path / "predictions.csv" if path.is_dir() else path), False
    if (path / "Annotations").is_dir():
        return read_voc(path), False
    if (path / "labels").is_dir():
        return (read_yolo(path) if classes is None else read_yolo(path, classes)), True
    path = path / "predictions.json" if path.is_dir() else path
    if not path.exists():
        raise UserError(f"there is no file of predictions at {path}; `kerassl predict` writes one")
    return predictions_of(read_json(path, _WANTED), path), False


def holds_predictions(path: str | os.PathLike) -> bool:
    """Return whether a path is a folder or a CSV that `predictions_at` reads."""
    path = pathlib.Path(path)
    if not path.is_dir():
        return path.suffix.lower() == ".csv"
    known = any((path / name).exists() for name in ("predictions.json", "predictions.csv", "Annotations", "labels"))
    return known or bool(part_outputs(path))


def predictions_of(content, path):
    """Return the predictions in the content of a file, as `load_predictions` does."""
    if isinstance(content, dict) and isinstance(content.get("annotations"), list):
        return _of_coco(content, path)
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


def _of_coco(content, path):
    """The predictions of a COCO json with scores, by the images' files."""
    images, names = _by_id(content, "images", "file_name", path), _by_id(content, "categories", "name", path)
    classes = check_class_names(list(names.values()))
    places = {key: place for place, key in enumerate(names)}
    found = {key: {name: [] for name in _ARRAYS} for key in images}
    for place, entry in enumerate(content["annotations"]):
        where = f"annotation {place} of {path}"
        if not isinstance(entry, dict) or "score" not in entry:
            raise UserError(f"{where} has no score: it is a label and no detection; {_WANTED}")
        image, category, box = (entry.get(key) for key in ("image_id", "category_id", "bbox"))
        image, category = (each if isinstance(each, int) else None for each in (image, category))
        if image not in found or category not in places:
            raise UserError(f"{where} is of an image or a category that is not there; {_WANTED}")
        values = found[image]
        x, y, width, height = box if isinstance(box, list) and len(box) == 4 else [None] * 4
        numbers = all(isinstance(each, (int, float)) for each in (x, y, width, height))
        values["boxes"].append([x, y, x + width, y + height] if numbers else [x, y, width, height])
        values["scores"].append(entry["score"])
        values["classes"].append(places[category])
    return {images[key]: _read(f"image {images[key]!r} in {path}", one, classes) for key, one in found.items()}


def _by_id(content, kind, key, path):
    """The names of images or categories by their ids."""
    found = {}
    for entry in content[kind] if isinstance(content.get(kind), list) else [None]:
        number, name = (entry.get("id"), entry.get(key)) if isinstance(entry, dict) else (None, None)
        if not isinstance(number, int) or not isinstance(name, str) or number in found:
            raise UserError(f"{path} has no {kind}, each with an id of its own and a {key}; {_WANTED}")
        found[number] = name
    if len(set(found.values())) < len(found):
        raise UserError(f"{path} has {kind} of the same {key}; {_WANTED}")
    return found


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
