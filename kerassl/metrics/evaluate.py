"""All metrics of a detector or a localizer at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from kerassl.boxes import box_iou
from kerassl.datasets.record import Record
from kerassl.metrics.checks import Renaming, checked
from kerassl.metrics.coco import coco_scores
from kerassl.metrics.error_kinds import kinds_of_errors
from kerassl.metrics.localization import localization_of_ious
from kerassl.metrics.topk import label_ranks
from kerassl.metrics.voc import average_precision, match_detections
from kerassl.types import (
    LOCALIZATION_METRICS,
    ClassMetrics,
    DetectionMetrics,
    Detections,
    ImageScores,
    LocalizationMetrics,
)


def evaluate_detections(
    predictions: Mapping[str, Detections],
    records: Sequence[Record],
    classes: Sequence[str],
    *,
    known_pixels: bool = False,
    sizes: bool = False,
) -> DetectionMetrics:
    """Score detections by the rules of VOC and COCO and, object by object, as a localizer is scored; sort errors.

    The rules, in detail in docs/guides/evaluation.md:

    - VOC: a detection belongs to the object of its class that it overlaps most, and is correct from IoU >= 0.5 on if no
      detection of a higher score took the object; difficult objects are ignored. See `voc_ap`.
    - COCO: a detection takes the free object of its class that it overlaps most, from IoU >= 0.5, 0.55, … 0.95 on.
      See `coco_ap`.
    - Largest objects: the highest-scoring detection of an image (of equals the first), of whatever class, is compared
      with the image's largest object that is not difficult; images without such an object are left out. `loc_acc_50`
      and `loc_acc_70` are the shares of images whose IoU is >= 0.5 and >= 0.7, whatever the class; `top1` the share
      whose class is correct, whatever the box. `top3` is the share whose class is among the three classes of the
      highest scores in the image; of detections with logits, as of a localizer, among the three highest logits. An
      image without detections has IoU 0 and the wrong class.
    - Errors: see `error_kinds`; no score threshold.

    Boxes that extend beyond their image are not clipped. A warning is logged if nothing was detected at all.

    Args:
        predictions: dict from image id to `Detections`, as `kerassl.predict` returns it. Every image of `records` is
            present, if with empty arrays. Keep detections from scores of 0.05 or less on: a higher threshold lowers
            every AP.
        records: list of `datasets.Record`, the ground truth.
        classes: sequence of str, the class names of the records.
        known_pixels: bool. Whether the boxes are known to be in pixels. Otherwise they are refused as relative ones if
            all of them are in [0, 1.5].
        sizes: bool. Add the others of COCO's twelve metrics; see `coco_ap`.

    Returns:
        `DetectionMetrics`.

    Raises:
        UserError: if the predictions are not of these records: unknown or missing images, classes beyond the list,
            inverted or relative boxes, numbers that are not finite.

    Example:
        >>> kerassl.metrics.evaluate_detections(predictions, records, kerassl.datasets.VOC_CLASSES).voc07_ap50
    """
    images = checked(predictions, records, classes, known_pixels)
    matches = match_detections(images, len(classes), 0.5)
    voc07, voc10 = (average_precision(matches, classes, protocol) for protocol in ("voc07", "voc10"))
    coco = coco_scores(images, classes, predictions, sizes)
    _, ious, ranks, wanted = _largest_objects(images, predictions, classes)
    per_class = {
        name: ClassMetrics(
            objects=matches[label].count,
            voc07_ap50=voc07.per_class[name],
            voc10_ap50=voc10.per_class[name],
            coco_ap=coco.per_class[name],
            **_means(ious[wanted == label], ranks[wanted == label]),
        )
        for label, name in enumerate(classes)
    }
    return DetectionMetrics(
        voc07_ap50=voc07.ap,
        voc10_ap50=voc10.ap,
        **{f"coco_{name}": value for name, value in coco.to_dict().items() if name != "per_class"},
        **_means(ious, ranks),
        per_class=per_class,
        errors=kinds_of_errors(images, classes),
    )


def evaluate_localization(
    predictions: Mapping[str, Detections],
    records: Sequence[Record],
    classes: Sequence[str],
    *,
    known_pixels: bool = False,
) -> tuple[LocalizationMetrics, ImageScores]:
    """Compare the best detection of each image with the image's largest object.

    Args:
        predictions, records, classes, known_pixels: see `evaluate_detections`.

    Returns:
        `LocalizationMetrics`, and `ImageScores` of which they are the means.

    Raises:
        UserError: as `evaluate_detections`.

    Example:
        >>> found, _ = kerassl.metrics.evaluate_localization(predictions, records, localizer.class_names)
        >>> found.loc_acc_70
    """
    ids, ious, ranks, _ = _largest_objects(checked(predictions, records, classes, known_pixels), predictions, classes)
    scores = ImageScores(ids, ious.tolist(), *((ranks < most).astype(int).tolist() for most in (1, 3)))
    if not ids:
        return LocalizationMetrics(*[float("nan")] * len(LOCALIZATION_METRICS)), scores
    return localization_of_ious(ious, ranks, len(classes)), scores


def _largest_objects(images, predictions, classes):
    """For each image with an object: its id, the IoU of the best box, the rank of the correct class, and the class."""
    rename = Renaming(classes)
    ids, ious, ranks, wanted = [], [], [], []
    for record, boxes, scores, labels in images:
        largest = record.largest()
        if largest is None:
            continue
        order = np.argsort(-scores, kind="stable")
        ids.append(record.image_id)
        ious.append(box_iou(boxes[order[0]], record.boxes[largest])[0, 0] if len(order) else 0.0)
        ranks.append(_rank(predictions[record.image_id], rename, order, labels, record.classes[largest]))
        wanted.append(record.classes[largest])
    return ids, np.array(ious, float), np.array(ranks, int), np.array(wanted, int)


def _means(ious, ranks):
    if not len(ious):
        return dict.fromkeys(LOCALIZATION_METRICS, float("nan"))
    return localization_of_ious(ious, ranks).to_dict()


def _rank(found, rename, order, labels, wanted):
    """Count the other classes that score higher than the wanted one; 3 if that many, or if it was not detected."""
    if found.logits is not None and len(order):
        places = rename.places(found)
        logits = found.logits[order[:1]]
        logits = logits if places is None else logits[:, np.argsort(places)]
        return min(int(label_ranks(logits, [wanted])[0]), 3)
    before = []
    for label in labels[order].tolist():
        if label == wanted:
            return len(before)
        if label not in before:
            before.append(label)
        if len(before) == 3:
            break
    return 3
