"""All scores of a detector at once."""

import numpy as np

from kerassl.metrics.checks import checked
from kerassl.metrics.coco import coco_scores
from kerassl.metrics.iou import box_iou
from kerassl.metrics.localization import localization_of_ious
from kerassl.metrics.voc import average_precision, verdicts


def evaluate_detections(predictions, records, classes):
    """Scores detections by VOC's and COCO's protocols and, object by object, as a localiser is scored.

    For the last, the highest-scoring detection of an image, of whatever class, answers for the image's largest object
    that is not difficult; images without such an object are left out. An image without detections has IoU 0 and the
    wrong class.

    Args:
        predictions: dict from image id to `{"boxes": [n, 4] xyxy in pixels of the original image, "scores": [n],
            "classes": [n]}`. Every image of `records` is present, if with empty arrays. Keep detections from scores
            of 0.05 or less on: a higher bar lowers every AP.
        records: list of `datasets.Record`, the ground truth.
        classes: sequence of str, the names of the classes.

    Returns:
        Dict of floats in [0, 1]: `voc07_ap50`, `voc10_ap50` (`voc_ap`), `coco_ap`, `coco_ap50`, `coco_ap75`,
        `coco_ar100` (`coco_ap`), `mean_iou`, `loc_acc_50`, `loc_acc_70` (`localization`) and `top1`; and
        `per_class_voc07`, a dict by class name. `nan` where there was nothing to find.

    Raises:
        UserError: if the predictions are not of these records: unknown or missing images, classes beyond the list,
            inverted boxes, numbers that are not finite.

    Example:
        >>> kerassl.metrics.evaluate_detections(predictions, records, kerassl.datasets.VOC_CLASSES)["voc07_ap50"]
    """
    images = checked(predictions, records, classes)
    judged = verdicts(images, len(classes), 0.5)
    voc07 = average_precision(judged, classes, "voc07")
    coco = coco_scores(images, classes)
    return {
        "voc07_ap50": voc07["ap"],
        "voc10_ap50": average_precision(judged, classes, "voc10")["ap"],
        **{f"coco_{name}": coco[name] for name in ("ap", "ap50", "ap75", "ar100")},
        **_largest_objects(images),
        "per_class_voc07": voc07["per_class"],
    }


def _largest_objects(images):
    ious, right = [], []
    for record, boxes, scores, labels in images:
        largest = record.largest()
        if largest is None:
            continue
        best = scores.argmax() if len(scores) else None
        ious.append(0.0 if best is None else box_iou(boxes[best], record.boxes[largest])[0, 0])
        right.append(best is not None and labels[best] == record.classes[largest])
    if not ious:
        return dict.fromkeys(("mean_iou", "loc_acc_50", "loc_acc_70", "top1"), float("nan"))
    return {**localization_of_ious(np.array(ious)), "top1": float(np.mean(right))}
