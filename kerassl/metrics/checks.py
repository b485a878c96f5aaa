"""What is refused before anything is scored."""

import collections.abc
import logging

import numpy as np

from kerassl._errors import UserError
from kerassl._numbers import short
from kerassl.datasets.class_names import check_numbering, class_places

log = logging.getLogger("kerassl")

FARTHEST = 1e9
"""Pixels. A corner beyond is no box of any image, and areas of such would overflow."""


def checked(predictions, records, classes, known_pixels=False):
    """Predictions as arrays, in the order of the records.

    Tells in a line of the log if nothing was detected, or if boxes lie wholly outside their images.

    Args:
        predictions: dict from image id to dict of `boxes`, `scores` and `classes`. Of `Predictions`, which have names,
            classes are matched with the labels' by name.
        records: list of `datasets.Record`.
        classes: sequence of str, the class names.
        known_pixels: bool. Whether boxes are in pixels for certain; else those that look relative are refused.

    Returns:
        List of (record, boxes `[n, 4]` float64, scores `[n]` float64, classes `[n]` int64).

    Raises:
        UserError: if predictions and records are not of the same images or classes, or values make no sense.
    """
    if not records:
        raise UserError("there is no record to score against; check the folder and the split that were read")
    if not isinstance(predictions, collections.abc.Mapping):
        raise UserError(f"the predictions are a {type(predictions).__name__}; give a dict from image id to detections")
    ids = [record.image_id for record in records]
    known = set(ids)
    if len(known) < len(ids):
        doubled = next(image_id for image_id in ids if ids.count(image_id) > 1)
        raise UserError(f"image {doubled!r} stands twice among the records; give every image once")
    unknown, missing = [name for name in predictions if name not in known], [i for i in ids if i not in predictions]
    if unknown:
        raise UserError(
            f"{len(unknown)} of {len(predictions)} predicted images are not in the data set, {unknown[0]!r} first; "
            "score predictions against the split that they were made on"
        )
    if missing:
        raise UserError(
            f"{len(missing)} of {len(ids)} images have no predictions, {missing[0]!r} first; an image in which nothing "
            "was found is present with empty arrays"
        )
    for record in records:
        check_classes(f"the record of image {record.image_id!r}", np.asarray(record.classes), len(classes))
    check_numbering(records, classes)
    rename = by_name(getattr(predictions, "classes", None), classes)
    images = []
    for record in records:
        boxes, scores, labels = detections(f"image {record.image_id!r}", predictions[record.image_id])
        check_classes(f"the prediction for image {record.image_id!r}", labels, len(classes))
        images.append((record, boxes, scores, rename(labels)))
    _check_places(images, known_pixels)
    return images


def by_name(own, wanted, whose="the predictions", theirs="the labels"):
    """How to number the classes of one list as another does that has the same names.

    Args:
        own: sequence of str, or None if the names are not known: then nothing is changed.
        wanted: sequence of str.
        whose, theirs: str. What has the one and the other, for the message.

    Returns:
        Function of an int array of places in `own` that gives places in `wanted`.

    Raises:
        UserError: if one list has a name that the other lacks.
    """
    if own is None or wanted is None:
        return lambda labels: labels
    places = class_places(own, wanted, whose, theirs)
    return lambda labels: places[labels]


def _check_places(images, known_pixels):
    """Refuses boxes that are shares of the image's sides; warns of none at all, and of boxes outside."""
    boxes = np.concatenate([boxes for _, boxes, _, _ in images])
    if not len(boxes):
        log.warning(
            "nothing was detected in any of %d images, and every score is 0; was a score threshold too high?",
            len(images),
        )
        return
    counts = [len(boxes) for _, boxes, _, _ in images]
    sides = np.repeat([[record.width, record.height] for record, *_ in images], counts, axis=0)
    if not known_pixels and boxes.max() <= 1.5 and sides.min() > 2:
        raise UserError(
            f"all {len(boxes)} predicted boxes end at {boxes.max():.3g} or before, but images are up to "
            f"{int(sides.max())} pixels large; boxes are in pixels of the original image, so multiply relative ones by "
            "its width and height"
        )
    outside = (boxes[:, 2:] <= 0).any(axis=1) | (boxes[:, :2] >= sides).any(axis=1)
    if outside.mean() > 0.01:
        log.warning(
            "%d of %d predicted boxes lie wholly outside their images, and are wrong; were they made on images of "
            "another size?", outside.sum(), len(boxes),
        )  # fmt: skip


def detections(where, prediction):
    """The arrays of one image's detections; `where` names them in messages.

    Returns:
        Boxes `[n, 4]` float64, scores `[n]` float64 and classes `[n]` int64.

    Raises:
        UserError: if a part is missing, shapes do not fit, a value is no number or not finite, a class is no whole one
            or a box is inverted.
    """
    try:
        parts = {key: prediction[key] for key in ("boxes", "scores", "classes")}
    except (TypeError, KeyError, IndexError):
        raise UserError(
            f"the detections of {where} cannot be read; give a dict of 'boxes' [n, 4], 'scores' [n] and 'classes' [n]"
        ) from None
    boxes, scores, classes = (_numbers(where, key, values) for key, values in parts.items())
    boxes = boxes.reshape(-1, 4) if boxes.size == 0 else boxes
    if scores.ndim != 1 or boxes.shape != (*scores.shape, 4) or classes.shape != scores.shape:
        raise UserError(
            f"{where} has boxes {boxes.shape}, scores {scores.shape} and classes {classes.shape}; give [n, 4], [n], [n]"
        )
    if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
        raise UserError(f"{where} has a box or a score that is not a finite number; the model may have diverged")
    boxes, scores = boxes.astype(np.float64), scores.astype(np.float64)
    far = np.flatnonzero((np.abs(boxes) > FARTHEST).any(axis=1))
    if len(far):
        raise UserError(f"{where} has the box {boxes[far[0]].tolist()}, which is on no image; boxes are in its pixels")
    inverted = np.flatnonzero((boxes[:, 2:] < boxes[:, :2]).any(axis=1))
    if len(inverted):
        raise UserError(
            f"{where} has the inverted box {boxes[inverted[0]].tolist()}; boxes are (x0, y0, x1, y1) in pixels with "
            "x1 >= x0 and y1 >= y0"
        )
    odd = np.flatnonzero(~(np.abs(classes) < 2**31) | (classes != np.floor(classes)))
    if len(odd):
        raise UserError(
            f"{where} has the class {classes[odd[0]]}, which is no whole number; classes are places in the list of "
            "names, from 0 on"
        )
    return boxes, scores, classes.astype(np.int64)


def _numbers(where, key, values):
    """An array of numbers, of whatever type."""
    wanted = "whole numbers, places in the list of class names" if key == "classes" else "numbers"
    try:
        array = np.asarray(values)
    except (ValueError, TypeError, RecursionError):
        raise UserError(f"{where} has {key} in lists that do not fit each other; give {wanted}") from None
    if isinstance(values, (list, tuple)) or array.dtype.kind not in "iuf":
        # A list may hold what NumPy takes for numbers: true, or "5" in a list of boxes.
        for value in np.asarray(values, object).ravel():
            number = isinstance(value, (int, float, np.number)) and not isinstance(value, (bool, np.bool_))
            if not number or (array.dtype.kind not in "iuf" and abs(value) > FARTHEST):
                raise UserError(f"{where} has {short(value)} among its {key}; give {wanted}")
    return array if array.dtype.kind in "iuf" else array.astype(np.float64)


def check_classes(where, classes, count):
    """Refuses classes beyond the names; `where` has them, for the message."""
    wrong = classes[(classes < 0) | (classes >= count)]
    if len(wrong):
        raise UserError(
            f"{where} has class {int(wrong[0])}, but there are {count} class names (0 to {count - 1}); give the list "
            "of names that the classes were numbered by"
        )
