"""Average precision by the rules of the PASCAL VOC devkit."""

from __future__ import annotations

import typing
from collections.abc import Mapping, Sequence

import numpy as np

from kerassl._errors import UserError
from kerassl.boxes import box_iou
from kerassl.datasets.record import Record
from kerassl.metrics.checks import CheckedImage, checked
from kerassl.types import Detections, VOCMetrics


class Matches(typing.NamedTuple):
    """The detections of a class by falling score, without those that are neither correct nor wrong.

    Attributes:
        right: `[n]` bool, whether a detection is correct.
        count: int, the objects to be found.
        scores: `[n]` float64, falling.
    """

    right: np.ndarray
    count: int  # type: ignore[assignment]  # a tuple has a method of that name
    scores: np.ndarray


def voc_ap(
    predictions: Mapping[str, Detections],
    records: Sequence[Record],
    classes: Sequence[str],
    *,
    protocol: str = "voc07",
    iou_threshold: float = 0.5,
) -> VOCMetrics:
    """Compute the average precision of each class, and its mean, as the VOC devkit does.

    Detections of a class are taken by falling score (of equal scores, in the order of the records). Each belongs to
    the object of its class and image that it overlaps most. If that overlap is `iou_threshold` or more, it is right
    when the object was not taken yet, wrong when it was, and neither when the object is difficult; else it is wrong.
    Difficult objects need not be found; crowd regions are taken for such.

    Args:
        predictions: dict from image id to `Detections`, as `kerassl.predict` returns it. Every image of `records` is
            present, if with empty arrays. Classes are matched by name, in any order.
        records: list of `datasets.Record`, the ground truth.
        classes: sequence of str, the class names of the records.
        protocol: `"voc07"`: mean of the highest precision at 11 recalls from 0 to 1 (2007 to 2009). `"voc10"`: area
            under the precision made falling (2010 and later).
        iou_threshold: float in (0, 1].

    Returns:
        `VOCMetrics`; the AP of a class without objects that are not difficult is nan.

    Raises:
        UserError: if the protocol is unknown or the predictions are not of these records.

    Example:
        >>> kerassl.metrics.voc_ap(predictions, records, kerassl.datasets.VOC_CLASSES).ap

    Reference:
        Everingham et al., "The PASCAL Visual Object Classes (VOC) Challenge", 2010, section 4.2; VOCevaldet.m.
    """
    return average_precision(
        match_detections(checked(predictions, records, classes), len(classes), iou_threshold), classes, protocol
    )


def match_detections(checked_images: Sequence[CheckedImage], class_count: int, iou_threshold: float) -> list[Matches]:
    """Sort the detections of each class into correct and wrong."""
    lists: tuple[list[list], ...] = tuple([[] for _ in range(class_count)] for _ in range(3))
    scores, right, count = lists
    for record, boxes, image_scores, image_classes in checked_images:
        truth_classes, difficult = np.asarray(record.classes), record.ignored
        order = np.argsort(-image_scores, kind="stable")
        for label in np.union1d(image_classes, truth_classes):
            mine, objects = order[image_classes[order] == label], truth_classes == label
            state = _match_image(boxes[mine], np.asarray(record.boxes)[objects], difficult[objects], iou_threshold)
            scores[label].append(image_scores[mine][state >= 0])
            right[label].append(state[state >= 0] == 1)
            count[label].append(np.sum(~difficult[objects]))
    return [_by_score(*each) for each in zip(*lists)]


def _match_image(boxes, objects, difficult, iou_threshold):
    """1 (right), 0 (wrong) or -1 (neither) for the boxes of one class in one image, by falling score."""
    state = np.zeros(len(boxes), np.int8)
    if len(boxes) and len(objects):
        overlap = box_iou(boxes, objects)
        best = overlap.argmax(axis=1)
        found = np.flatnonzero(overlap.max(axis=1) >= iou_threshold)
        _, first = np.unique(best[found], return_index=True)
        state[found[first]] = 1
        state[found[difficult[best[found]]]] = -1
    return state


def _by_score(scores, right, count):
    scores, right = np.concatenate([np.zeros(0), *scores]), np.concatenate([np.zeros(0, bool), *right])
    order = np.argsort(-scores, kind="stable")
    return Matches(right[order], int(sum(count)), scores[order])


def average_precision(matches_by_class: Sequence[Matches], classes: Sequence[str], protocol: str) -> VOCMetrics:
    """Return what `voc_ap` does, of what `match_detections` returns."""
    if protocol not in ("voc07", "voc10"):
        raise UserError(f"protocol is {protocol!r}; give 'voc07' (11 points) or 'voc10' (area, from 2010 on)")
    rule = _eleven_points if protocol == "voc07" else _area
    per_class = {name: _ap(rule, one.right, one.count) for name, one in zip(classes, matches_by_class)}
    known = [ap for ap in per_class.values() if not np.isnan(ap)]
    return VOCMetrics(float(np.mean(known)) if known else float("nan"), per_class)


def _ap(rule, right, count):
    return rule(np.cumsum(right), np.arange(1, len(right) + 1), count) if count else float("nan")


def _eleven_points(right, seen, count):
    """`right` of the first `seen` detections are right, of `count` objects."""
    precision = right / seen
    # Whole numbers: a recall of 3 / 10 is the threshold 0.3, whatever the rounding of 3 * 0.1.
    return float(np.mean([precision[10 * right >= tenths * count].max(initial=0.0) for tenths in range(11)]))


def _area(right, seen, count):
    precision = np.maximum.accumulate((right / seen)[::-1])[::-1]  # the highest at this recall or a higher one
    return float(np.sum(np.diff(right, prepend=0) / count * precision))
