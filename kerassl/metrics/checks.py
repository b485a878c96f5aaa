"""Checks of predictions and records before they are scored."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np

from kerassl._errors import UserError
from kerassl.datasets.class_names import check_class_names, check_numbering, class_places
from kerassl.datasets.record import Record
from kerassl.types import Detections

log = logging.getLogger("kerassl")

CheckedImage = tuple[Record, np.ndarray, np.ndarray, np.ndarray]
"""A record with the boxes `[n, 4]` float64, scores `[n]` float64 and classes `[n]` int64 that were predicted for it."""

FARTHEST = 1e9
"""Pixels. No image has a box with a corner beyond, and areas of such boxes would overflow."""


def checked(
    predictions: Mapping[str, Detections], records: Sequence[Record], classes: Sequence[str], known_pixels: bool = False
) -> list[CheckedImage]:
    """Return predictions as arrays, in the order of the records.

    Log a warning if nothing was detected, or if boxes are entirely outside their images.

    Args:
        predictions: By image id; their classes are matched with the records' by name.
        records: Ground truth.
        classes: Class names of the records.
        known_pixels: Whether boxes are known to be in pixels; otherwise boxes that look relative are refused.
    """
    if not records:
        raise UserError("there is no record to score against; check the folder and the split that were read")
    if not isinstance(predictions, Mapping):
        raise UserError(f"the predictions are a {type(predictions).__name__}; give a dict from image id to Detections")
    ids = [record.image_id for record in records]
    known = set(ids)
    if len(known) < len(ids):
        doubled = next(image_id for image_id in ids if ids.count(image_id) > 1)
        raise UserError(f"image {doubled!r} is twice among the records; give every image once")
    unknown, missing = [name for name in predictions if name not in known], [i for i in ids if i not in predictions]
    if unknown:
        raise UserError(
            f"{len(unknown)} of {len(predictions)} predicted images are not in the data set, {unknown[0]!r} first; "
            "score predictions against the split that they were made on"
        )
    if missing:
        raise UserError(
            f"{len(missing)} of {len(ids)} images have no predictions, {missing[0]!r} first; an image in which nothing "
            "was found has Detections of empty arrays"
        )
    for record in records:
        check_classes(f"the record of image {record.image_id!r}", np.asarray(record.classes), len(classes))
    check_numbering(records, classes)
    rename = Renaming(classes)
    images = []
    for record in records:
        where = f"image {record.image_id!r}"
        boxes, scores, labels = arrays(where, predictions[record.image_id])
        places = rename.places(predictions[record.image_id])
        check_classes(f"the prediction for {where}", labels, len(classes))
        images.append((record, boxes, scores, labels if places is None else places[labels]))
    _check_places(images, known_pixels)
    return images


class Renaming:
    """Numbers the classes of detections as another list of class names does.

    Args:
        classes: sequence of str, or None: nothing is changed.
        theirs: str. What has these names, for the message.
    """

    def __init__(self, classes: Sequence[str] | None, theirs: str = "the labels") -> None:
        self.classes, self.theirs = classes, theirs
        self._places: dict[Sequence[str], np.ndarray] = {}

    def places(self, found: Detections) -> np.ndarray | None:
        """`[C]` int: for each class of the detections its index in the list; None where either has no names."""
        names = found.class_names
        if names is None or self.classes is None:
            return None
        if names not in self._places:
            check_class_names(names)
            self._places[names] = class_places(names, self.classes, "the predictions", self.theirs)
        return self._places[names]

    def __call__(self, found: Detections, labels: np.ndarray) -> np.ndarray:
        """Indices in the list of the detections' class indices."""
        places = self.places(found)
        return labels if places is None else places[labels]


def _check_places(images, known_pixels):
    """Refuse boxes that are relative to the image's sides; warn of no boxes at all, and of boxes outside."""
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
            "%d of %d predicted boxes are entirely outside their images, and wrong; were they made on images of "
            "another size?", outside.sum(), len(boxes),
        )  # fmt: skip


def arrays(where: str, found: Detections) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return boxes `[n, 4]` float64, scores `[n]` float64 and classes `[n]` int64 of the image `where`."""
    if not isinstance(found, Detections):
        raise UserError(
            f"the detections of {where} are a {type(found).__name__}; give kerassl.types.Detections(boxes, scores, "
            "classes)"
        )
    boxes, scores, classes = found.boxes.astype(np.float64), found.scores.astype(np.float64), found.classes
    if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
        raise UserError(f"{where} has a box or a score that is not a finite number; the model may have diverged")
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
            f"{where} has the class {classes[odd[0]]}, which is not a whole number; classes are indices into the class "
            "names, from 0 on"
        )
    return boxes, scores, classes.astype(np.int64)


def check_classes(where: str, classes: np.ndarray, count: int) -> None:
    """Refuse classes beyond the class names; `where` has them, for the message."""
    wrong = classes[(classes < 0) | (classes >= count)]
    if len(wrong):
        raise UserError(
            f"{where} has class {int(wrong[0])}, but there are {count} class names (0 to {count - 1}); give the list "
            "of names that the classes were numbered by"
        )
