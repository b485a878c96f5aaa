"""Kinds of errors: of each wrong detection and each missed object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from kerassl._errors import UserError
from kerassl._numbers import REAL
from kerassl.boxes import box_iou
from kerassl.datasets.record import Record
from kerassl.metrics.checks import CheckedImage, checked
from kerassl.metrics.voc import Matches, average_precision
from kerassl.types import ERROR_KINDS, DetectionErrors, Detections

_CLASS, _BOX, _BOTH, _DUPLICATE, _BACKGROUND, _MISSED, _RIGHT, _NEITHER = range(8)
_FOREGROUND, _NEAR = 0.5, 0.1


def error_kinds(
    predictions: Mapping[str, Detections],
    records: Sequence[Record],
    classes: Sequence[str],
    *,
    score_threshold: float | None = None,
) -> DetectionErrors:
    """Sort every wrong detection and every missed object into one of six kinds, and compute what each kind costs.

    Correct and wrong are distinguished as in `voc_ap` at IoU 0.5, so that duplicates and difficult objects mean
    the same here as there. A wrong detection is then compared with the objects of its image that are not difficult,
    found or not. Let `own` be its highest IoU with one of its class, `other` that with one of another class, and 0
    where there is none. The first condition that is true gives the kind:

    - `box`: 0.1 <= own < 0.5. The class is right, the box is not good enough.
    - `class`: other >= 0.5. The box is good, the class is not.
    - `duplicate`: own >= 0.5. The object was taken by a detection of a higher score.
    - `background`: own and other < 0.1. There is nothing.
    - `both`: what is left, 0.1 <= other < 0.5. Neither class nor box is good.

    An object that is not difficult is `missed` if no detection found it, and no `box` or `class` error has its highest
    IoU (`own` or `other`, of equals the first object) with it. Difficult objects are no reason for an error: a wrong
    detection that overlaps nothing else is `background`.

    A kind costs as much as AP50 would rise if its errors alone were fixed: a `class` error gets the object's class, a
    `box` error the object's box, and then is correct with its own score; of several errors of the kind on one object
    the one of the highest score is kept, and none if the object was found. Errors of the other kinds are removed.
    `missed` objects need not be found. The costs do not add up to the difference from 1. AP50 is
    that of "voc10", the area under the precision made falling.

    Args:
        predictions: as for `voc_ap`.
        records: list of `datasets.Record`, the ground truth.
        classes: sequence of str, the class names.
        score_threshold: float or None. Detections that score less are left out of everything, AP50 too: with 0.3 to
            0.5 the counts are of what users would be shown. None keeps all, as AP does, and many a `background`
            then scores next to nothing.

    Returns:
        `DetectionErrors`. A class of which all objects are missed is left out of the mean that `missed` would rise to.

    Raises:
        UserError: if the predictions are not of these records, or the threshold is no finite number.

    Example:
        >>> kinds = kerassl.metrics.error_kinds(predictions, records, kerassl.datasets.VOC_CLASSES)
        >>> kinds.counts["duplicate"], kinds.ap50_gain["duplicate"]

    Reference:
        Bolya et al., "TIDE: A General Toolbox for Identifying Object Detection Errors", 2020. There the threshold's
        own value counts as a box error, and a detection may take its second-best object, as COCO has it.
    """
    if score_threshold is not None and not REAL.fits(score_threshold):
        raise UserError(f"score_threshold is {score_threshold}; give a number, as 0.3, or None for all detections")
    images = checked(predictions, records, classes)
    if score_threshold is not None:
        images = [
            (record, boxes[kept], scores[kept], labels[kept])
            for record, boxes, scores, labels in images
            for kept in [scores >= score_threshold]
        ]
    return kinds_of_errors(images, classes)


def kinds_of_errors(checked_images: Sequence[CheckedImage], classes: Sequence[str]) -> DetectionErrors:
    """Return what `error_kinds` does, of what `checks.checked` returns."""
    scores, labels, kinds, owners, truth, easy = ([] for _ in range(6))
    objects = 0
    for record, boxes, image_scores, image_labels in checked_images:
        order = np.argsort(-image_scores, kind="stable")
        hard = record.ignored
        kind, owner = _image(boxes[order], image_labels[order], record.boxes, np.asarray(record.classes), hard)
        scores.append(image_scores[order])
        labels.append(image_labels[order])
        kinds.append(kind)
        owners.append(owner + objects)
        truth.append(np.asarray(record.classes, np.int64))
        easy.append(~hard)
        objects += len(hard)
    return _Table(*map(np.concatenate, (scores, labels, kinds, owners, truth, easy))).summary(classes)


def _image(boxes, labels, objects, truth, difficult):
    """The kind of each detection of one image, by falling score, and the place of the object that it is held to."""
    if not len(truth):
        return np.full(len(boxes), _BACKGROUND), np.zeros(len(boxes), np.int64)
    overlap = box_iou(boxes, objects)  # [n, m]
    same = labels[:, None] == truth
    best, reached = _highest(overlap, same)
    own_object, own = _highest(overlap, same & ~difficult)
    other_object, other = _highest(overlap, ~same & ~difficult)
    kind = np.full(len(boxes), _BOTH)
    kind[np.maximum(own, other) < _NEAR] = _BACKGROUND
    kind[own >= _FOREGROUND] = _DUPLICATE
    kind[other >= _FOREGROUND] = _CLASS
    kind[(own >= _NEAR) & (own < _FOREGROUND)] = _BOX
    found = np.flatnonzero(reached >= _FOREGROUND)
    _, first = np.unique(best[found], return_index=True)
    kind[found[first]] = _RIGHT
    kind[found[difficult[best[found]]]] = _NEITHER
    return kind, np.select([kind == _BOX, kind == _CLASS], [own_object, other_object], best)


def _highest(overlap, among):
    """Each detection's object of the highest overlap `among` those, and that overlap; 0 where there is none."""
    overlap = np.where(among, overlap, -1.0)
    return overlap.argmax(axis=1), np.maximum(overlap.max(axis=1), 0.0)


class _Table:
    """All detections, image after image by falling score, and all objects."""

    def __init__(self, scores, labels, kinds, owners, truth, easy):
        self.scores, self.labels, self.kinds, self.owners = scores, labels, kinds, owners
        self.truth, self.easy = truth, easy
        self.found = np.zeros(len(truth), bool)
        self.found[owners[kinds == _RIGHT]] = True
        explained = np.zeros(len(truth), bool)
        explained[owners[(kinds == _BOX) | (kinds == _CLASS)]] = True
        self.missed = easy & ~self.found & ~explained

    def summary(self, classes):
        count = len(classes)
        per_class = [np.bincount(self.labels[self.kinds == kind], minlength=count) for kind in range(_MISSED)]
        per_class.append(np.bincount(self.truth[self.missed], minlength=count))
        ap50 = self.ap50(classes)
        return DetectionErrors(
            counts={kind: int(numbers.sum()) for kind, numbers in zip(ERROR_KINDS, per_class)},
            ap50_gain={kind: self.ap50(classes, place) - ap50 for place, kind in enumerate(ERROR_KINDS)},
            per_class={
                name: {kind: int(numbers[label]) for kind, numbers in zip(ERROR_KINDS, per_class)}
                for label, name in enumerate(classes)
            },
            detections=len(self.kinds),
            right=int(np.sum(self.kinds == _RIGHT)),
            ignored=int(np.sum(self.kinds == _NEITHER)),
            objects=int(self.easy.sum()),
            ap50=ap50,
        )

    def ap50(self, classes, fixed=None):
        """Compute the AP of VOC 2010, with the errors of one kind fixed."""
        labels, right, kept = self.labels, self.kinds == _RIGHT, self.kinds != _NEITHER
        counted = self.easy & ~self.missed if fixed == _MISSED else self.easy
        if fixed is not None:
            kept = kept & (self.kinds != fixed)
        if fixed in (_CLASS, _BOX):
            chosen = self._best_on_free_objects(fixed)
            labels, right, kept = labels.copy(), right.copy(), kept.copy()
            labels[chosen] = self.truth[self.owners[chosen]]
            right[chosen] = kept[chosen] = True
        counts = np.bincount(self.truth[counted], minlength=len(classes))
        matches = []
        for label, count in enumerate(counts.tolist()):
            mine = np.flatnonzero(kept & (labels == label))
            mine = mine[np.argsort(-self.scores[mine], kind="stable")]
            matches.append(Matches(right[mine], count, self.scores[mine]))
        return average_precision(matches, classes, "voc10").ap

    def _best_on_free_objects(self, kind):
        """Of the errors of a kind, those that become right: the highest score on each object that was not found."""
        errors = np.flatnonzero(self.kinds == kind)
        errors = errors[~self.found[self.owners[errors]]]
        errors = errors[np.argsort(-self.scores[errors], kind="stable")]
        _, first = np.unique(self.owners[errors], return_index=True)
        return errors[first]
