"""All scores of a detector at once."""

import numpy as np

from kerassl.boxes import box_iou
from kerassl.metrics.checks import checked
from kerassl.metrics.coco import coco_scores
from kerassl.metrics.error_kinds import kinds_of_errors
from kerassl.metrics.localization import localization_of_ious
from kerassl.metrics.voc import average_precision, verdicts

_LARGEST = ("mean_iou", "loc_acc_50", "loc_acc_70", "top1", "top3")


def evaluate_detections(predictions, records, classes, *, known_pixels=False, sizes=False):
    """Scores detections by VOC's and COCO's protocols and, object by object, as a localiser is scored; sorts errors.

    Rules, of which docs/evaluation.md tells more:

    - VOC: a detection belongs to the object of its class that it overlaps most, and is right from IoU >= 0.5 on if no
      detection of a higher score took the object; difficult objects are neither right nor wrong. See `voc_ap`.
    - COCO: a detection takes the free object of its class that it overlaps most, from IoU >= 0.5, 0.55, … 0.95 on.
      See `coco_ap`.
    - Largest objects: the highest-scoring detection of an image (of equals the first), of whatever class, answers for
      the image's largest object that is not difficult; images without such an object are left out. `loc_acc_50` and
      `loc_acc_70` are the shares of images whose IoU is >= 0.5 and >= 0.7, whatever the class; `top1` the share whose
      class is right, whatever the box. `top3` is the share whose class is among the three classes of the highest
      scores in the image; where there is but one detection an image, as of a localiser, it is `top1` again. An image
      without detections has IoU 0 and the wrong class.
    - Errors: see `error_kinds`; no score threshold.

    Boxes that reach out of their image count as they are. A warning is logged where nothing was detected at all.

    Args:
        predictions: dict from image id to `{"boxes": [n, 4] xyxy in pixels of the original image, "scores": [n],
            "classes": [n]}`. Every image of `records` is present, if with empty arrays. Keep detections from scores
            of 0.05 or less on: a higher bar lowers every AP.
        records: list of `datasets.Record`, the ground truth.
        classes: sequence of str, the names of the classes.
        known_pixels: bool. Whether the boxes are in pixels for certain. Else they are refused as relative ones if all
            of them lie within [0, 1.5].
        sizes: bool. Add the other figures of COCO's twelve; see `coco_ap`.

    Returns:
        Dict of floats in [0, 1]: `voc07_ap50`, `voc10_ap50` (`voc_ap`), `coco_ap`, `coco_ap50`, `coco_ap75`,
        `coco_ar100` (`coco_ap`; with `sizes` also `coco_ap_small` to `coco_ar_large`), `mean_iou`, `loc_acc_50`,
        `loc_acc_70`, `top1` and `top3`. Then dicts by class name: `per_class_voc07`, `per_class_voc10`,
        `per_class_coco`; of the images whose largest object is of the class `per_class_mean_iou`,
        `per_class_loc_acc_50`, `per_class_loc_acc_70`, `per_class_top1`, `per_class_top3`; and `per_class_objects`, how
        many are to be found. And `errors`, the dict of `error_kinds`. `nan` where there was nothing to find.

    Raises:
        UserError: if the predictions are not of these records: unknown or missing images, classes beyond the list,
            inverted or relative boxes, numbers that are not finite.

    Example:
        >>> kerassl.metrics.evaluate_detections(predictions, records, kerassl.datasets.VOC_CLASSES)["voc07_ap50"]
    """
    images = checked(predictions, records, classes, known_pixels)
    judged = verdicts(images, len(classes), 0.5)
    voc07, voc10 = (average_precision(judged, classes, protocol) for protocol in ("voc07", "voc10"))
    coco = coco_scores(images, classes, predictions, sizes)
    per_class_coco = coco.pop("per_class")
    return {
        "voc07_ap50": voc07["ap"],
        "voc10_ap50": voc10["ap"],
        **{f"coco_{name}": value for name, value in coco.items()},
        **_largest_objects(images, classes),
        "per_class_voc07": voc07["per_class"],
        "per_class_voc10": voc10["per_class"],
        "per_class_coco": per_class_coco,
        "per_class_objects": {name: one.count for name, one in zip(classes, judged)},
        "errors": kinds_of_errors(images, classes),
    }


def answers_for_largest(predictions, records, classes):
    """What each image says of its largest object, from which `mean_iou` to `top3` are means.

    Args:
        predictions, records, classes: as of `evaluate_detections`.

    Returns:
        Dict of lists, an entry for each image with an object that is not difficult: `ids`, `iou` (float) and `rank`
        (int: how many other classes come before the right one, 3 where that many do or the right one is missing).
    """
    ids, ious, ranks, _ = _answers(checked(predictions, records, classes, False))
    return {"ids": ids, "iou": ious.tolist(), "rank": ranks.tolist()}


def _answers(images):
    ids, ious, ranks, wanted = [], [], [], []
    for record, boxes, scores, labels in images:
        largest = record.largest()
        if largest is None:
            continue
        order = np.argsort(-scores, kind="stable")
        ids.append(record.image_id)
        ious.append(box_iou(boxes[order[0]], record.boxes[largest])[0, 0] if len(order) else 0.0)
        ranks.append(_rank(labels[order], record.classes[largest]))
        wanted.append(record.classes[largest])
    return ids, np.array(ious, float), np.array(ranks, int), np.array(wanted, int)


def _largest_objects(images, classes):
    _, ious, ranks, wanted = _answers(images)
    per_class = {name: _figures(ious[wanted == label], ranks[wanted == label]) for label, name in enumerate(classes)}
    return {
        **_figures(ious, ranks),
        **{f"per_class_{key}": {name: each[key] for name, each in per_class.items()} for key in _LARGEST},
    }


def _figures(ious, ranks):
    if not len(ious):
        return dict.fromkeys(_LARGEST, float("nan"))
    tops = {"top1": float(np.mean(ranks < 1)), "top3": float(np.mean(ranks < 3))}
    return {**localization_of_ious(ious), **tops}


def _rank(labels, wanted):
    """How many other classes come before the wanted one among labels by falling score; 3 if that many or it is none."""
    before = []
    for label in labels.tolist():
        if label == wanted:
            return len(before)
        if label not in before:
            before.append(label)
        if len(before) == 3:
            break
    return 3
