"""What is refused before anything is scored."""

import logging

import numpy as np

from kerassl._errors import UserError

log = logging.getLogger("kerassl")


def checked(predictions, records, classes, known_pixels=False):
    """Predictions as arrays, in the order of the records.

    Tells in a line of the log if nothing was detected, or if boxes lie wholly outside their images.

    Args:
        predictions: dict from image id to dict of `boxes`, `scores` and `classes`.
        records: list of `datasets.Record`.
        classes: sequence of str, the class names.
        known_pixels: bool. Whether boxes are in pixels for certain; else those that look relative are refused.

    Returns:
        List of (record, boxes `[n, 4]` float64, scores `[n]` float64, classes `[n]` int64).

    Raises:
        UserError: if predictions and records are not of the same images, or values make no sense.
    """
    if not records:
        raise UserError("there is no record to score against; check the folder and the split that were read")
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
        _check_classes(f"the record of image {record.image_id!r}", np.asarray(record.classes), len(classes))
    images = [(record, *_arrays(record.image_id, predictions[record.image_id], len(classes))) for record in records]
    _check_places(images, known_pixels)
    return images


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


def _arrays(image_id, prediction, class_count):
    boxes, scores, classes = detections(f"image {image_id!r}", prediction)
    _check_classes(f"the prediction for image {image_id!r}", classes, class_count)
    return boxes, scores, classes


def detections(where, prediction):
    """The arrays of one image's detections; `where` names them in messages.

    Raises:
        UserError: if a part is missing, shapes do not fit, a number is not finite or a box is inverted.
    """
    try:
        boxes = np.asarray(prediction["boxes"], np.float64)
        scores = np.asarray(prediction["scores"], np.float64)
        classes = np.asarray(prediction["classes"])
    except (TypeError, KeyError, ValueError, IndexError):
        raise UserError(
            f"the detections of {where} cannot be read; give a dict of 'boxes' [n, 4], 'scores' [n] and 'classes' [n]"
        ) from None
    boxes = boxes.reshape(-1, 4) if boxes.size == 0 else boxes
    if boxes.shape != (len(scores), 4) or scores.ndim != 1 or classes.shape != scores.shape:
        raise UserError(
            f"{where} has boxes {boxes.shape}, scores {scores.shape} and classes {classes.shape}; give [n, 4], [n], [n]"
        )
    if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
        raise UserError(f"{where} has a box or a score that is not a finite number; the model may have diverged")
    inverted = np.flatnonzero((boxes[:, 2:] < boxes[:, :2]).any(axis=1))
    if len(inverted):
        raise UserError(
            f"{where} has the inverted box {boxes[inverted[0]].tolist()}; boxes are (x0, y0, x1, y1) in pixels with "
            "x1 >= x0 and y1 >= y0"
        )
    whole = classes.astype(np.int64)
    if (whole != classes).any():
        raise UserError(f"{where} has a class that is no whole number; classes are places in the list of names")
    return boxes, scores, whole


def _check_classes(where, classes, count):
    wrong = classes[(classes < 0) | (classes >= count)]
    if len(wrong):
        raise UserError(
            f"{where} has class {int(wrong[0])}, but there are {count} class names (0 to {count - 1}); give the list "
            "of names that the classes were numbered by"
        )
