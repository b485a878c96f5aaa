"""Average precision by the rules of COCO, computed by pycocotools."""

import contextlib
import io

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from kerassl.metrics.checks import checked


class _Evaluation(COCOeval):
    """COCO's evaluation with objects that need not be found.

    pycocotools overwrites an annotation's `ignore` by its `iscrowd`, and a crowd is matched by another overlap
    (over the detection's area) and by any number of detections.
    """

    def _prepare(self):
        super()._prepare()
        for objects in self._gts.values():
            for one in objects:
                one["ignore"] = one["difficult"] or one["iscrowd"]


def coco_ap(predictions, records, classes):
    """COCO's average precision and recall over objects of all sizes, by pycocotools.

    The detections of an image and class, by falling score, each take the free object that they overlap most, if that
    IoU is >= the threshold; a detection that finds none is wrong. Difficult objects are ignored: they need not be
    found, and one detection that can take no other object but such a one is neither right nor wrong. Of each class and
    image the 100 best detections count.

    Args:
        predictions: as for `voc_ap`.
        records: list of `datasets.Record`, the ground truth.
        classes: sequence of str, the names of the classes.

    Returns:
        Dict of floats: `ap` (mean over IoU 0.5 to 0.95 in steps of 0.05), `ap50`, `ap75`, `ar100`, each a mean over
        the classes that have objects (`nan` if none has); and `per_class`, `{name: ap or nan}`.

    Raises:
        UserError: if the predictions are not of these records.

    Example:
        >>> kerassl.metrics.coco_ap(predictions, records, kerassl.datasets.VOC_CLASSES)["ap75"]

    Reference:
        Lin et al., "Microsoft COCO: Common Objects in Context", 2014; cocodataset.org/#detection-eval.
    """
    return coco_scores(checked(predictions, records, classes), classes)


def coco_scores(checked_images, classes):
    """The dict that `coco_ap` returns, of what `checks.checked` returns."""
    objects, found = [], []
    for image_id, (record, boxes, scores, labels) in enumerate(checked_images, start=1):
        flags = zip(np.asarray(record.difficult, int).tolist(), np.asarray(record.crowd, int).tolist())
        extras = [{"difficult": hard, "iscrowd": crowd} for hard, crowd in flags]
        objects += _annotations(image_id, record.boxes, record.classes, extras)
        found += _annotations(image_id, boxes, labels, [{"score": score} for score in scores.tolist()])
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        evaluation = _Evaluation(
            _index(objects, len(checked_images), len(classes)),
            _index(found, len(checked_images), len(classes)),
            "bbox",
        )
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.params.maxDets = [100]
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][..., 0, 0]  # [IoU threshold, recall, class]
    recall = evaluation.eval["recall"][..., 0, 0]  # [IoU threshold, class]
    thresholds = np.round(evaluation.params.iouThrs * 100).astype(int)
    return {
        "ap": _mean(precision),
        "ap50": _mean(precision[thresholds == 50]),
        "ap75": _mean(precision[thresholds == 75]),
        "ar100": _mean(recall),
        "per_class": {name: _mean(precision[..., label]) for label, name in enumerate(classes)},
    }


def _annotations(image_id, boxes, labels, extras):
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    sides = boxes[:, 2:] - boxes[:, :2]
    return [
        {
            "image_id": image_id,
            "category_id": label + 1,
            "bbox": [x, y, width, height],
            "area": width * height,
            "iscrowd": 0,
            **extra,
        }
        for (x, y), (width, height), label, extra in zip(
            boxes[:, :2].tolist(), sides.tolist(), np.asarray(labels).tolist(), extras
        )
    ]


def _index(annotations, images, class_count):
    # Numbers start at 1: pycocotools takes 0 for "matched to nothing".
    for number, one in enumerate(annotations, start=1):
        one["id"] = number
    coco = COCO()
    coco.dataset = {
        "images": [{"id": image} for image in range(1, images + 1)],
        "categories": [{"id": label} for label in range(1, class_count + 1)],
        "annotations": annotations,
    }
    coco.createIndex()
    return coco


def _mean(values):
    values = values[values > -1]  # -1 marks a class without objects
    return float(values.mean()) if values.size else float("nan")
