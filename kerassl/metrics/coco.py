"""Average precision by the rules of COCO, computed by pycocotools."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Mapping, Sequence

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from kerassl.datasets.record import Record
from kerassl.metrics.checks import CheckedImage, checked
from kerassl.types import COCOMetrics, Detections

log = logging.getLogger("kerassl")

_SIZES = ("small", "medium", "large")


class _Evaluation(COCOeval):
    """COCO's evaluation, with VOC's difficult objects beside COCO's crowds.

    Neither has to be found. pycocotools knows crowds alone, which any number of detections match by their intersection
    over the detection's own area; a difficult object is matched once, by IoU, as every object is.
    """

    def _prepare(self):
        super()._prepare()
        for objects in self._gts.values():
            for one in objects:
                one["ignore"] = one["difficult"] or one["iscrowd"]


def coco_ap(
    predictions: Mapping[str, Detections], records: Sequence[Record], classes: Sequence[str], *, sizes: bool = False
) -> COCOMetrics:
    """Compute COCO's average precision and recall with pycocotools.

    The detections of an image and class, by falling score, each take the free object that they overlap most, if that
    IoU is >= the threshold; a detection that finds none is wrong. Crowd regions are ignored: any number of detections
    that are in one by the threshold (intersection over the detection's area) and match no object are neither correct
    nor wrong. Difficult objects are ignored, too, each for one detection, by IoU. Of each class and image the 100 best
    detections count.

    For COCO json files (`DetectionDataset.from_coco`, `load_coco_results`) numbers are those in the files, and the
    figures those of pycocotools for the two files.

    Args:
        predictions: as for `voc_ap`.
        records: list of `datasets.Record`, the ground truth.
        classes: sequence of str, the class names.
        sizes: bool. Add the others of COCO's twelve metrics, which take three times as long.

    Returns:
        `COCOMetrics`.

    Raises:
        UserError: if the predictions are not of these records.

    Example:
        >>> kerassl.metrics.coco_ap(predictions, records, kerassl.datasets.VOC_CLASSES).ap75

    Reference:
        Lin et al., "Microsoft COCO: Common Objects in Context", 2014; cocodataset.org/#detection-eval.
    """
    return coco_scores(checked(predictions, records, classes), classes, predictions, sizes)


def coco_scores(
    checked_images: Sequence[CheckedImage],
    classes: Sequence[str],
    predictions: Mapping[str, Detections],
    sizes: bool = False,
) -> COCOMetrics:
    """Return what `coco_ap` does, of what `checks.checked` returns for the predictions."""
    objects, found = [], []
    for number, (record, boxes, scores, labels) in enumerate(_in_cocos_order(checked_images), start=1):
        objects += _objects(number, record)
        found += _detections(number, boxes, scores, labels, predictions[record.image_id].coco_boxes)
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        evaluation = _Evaluation(
            _index(objects, len(checked_images), len(classes)),
            _index(found, len(checked_images), len(classes)),
            "bbox",
        )
        if not sizes:
            evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
            evaluation.params.maxDets = [100]
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][..., -1]  # [IoU threshold, recall, class, size]
    recall = evaluation.eval["recall"]  # [IoU threshold, class, size, most detections]
    thresholds = np.round(evaluation.params.iouThrs * 100).astype(int)
    figures = {
        "ap": _mean(precision[..., 0]),
        "ap50": _mean(precision[thresholds == 50][..., 0]),
        "ap75": _mean(precision[thresholds == 75][..., 0]),
        "ar100": _mean(recall[:, :, 0, -1]),
        "per_class": {name: _mean(precision[:, :, label, 0]) for label, name in enumerate(classes)},
    }
    if sizes:
        figures |= {f"ar{count}": _mean(recall[:, :, 0, place]) for place, count in enumerate((1, 10))}
        for place, size in enumerate(_SIZES, start=1):
            figures |= {f"ap_{size}": _mean(precision[..., place]), f"ar_{size}": _mean(recall[:, :, place, -1])}
    return COCOMetrics(**figures)


def _in_cocos_order(images):
    """Equal scores of several images rank in the order of the images, and COCO's are numbered."""
    try:
        return sorted(images, key=lambda image: int(image[0].image_id))
    except ValueError:
        return images


def _objects(number, record):
    if record.coco is None:
        corners = np.asarray(record.boxes, np.float64).reshape(-1, 4)
        boxes = _corner_and_sides(corners)
        labels, difficult, crowd = record.classes, record.difficult, record.crowd
        areas, ids = boxes[:, 2] * boxes[:, 3], np.ones(len(boxes), int)
    else:
        boxes, areas, labels, crowd = (getattr(record.coco, name) for name in ("boxes", "areas", "classes", "crowd"))
        difficult, ids = np.zeros(len(boxes), bool), record.coco.ids
    columns = (np.asarray(each).tolist() for each in (boxes, areas, labels, difficult, crowd, ids))
    return [
        {
            "image_id": number,
            "category_id": label + 1,
            "bbox": box,
            "area": area,
            "difficult": int(hard),
            "iscrowd": int(group),
            "id": key,
        }
        for box, area, label, hard, group, key in zip(*columns)
    ]


def _detections(number, boxes, scores, labels, stated):
    sides = _corner_and_sides(boxes)
    if stated is not None:
        # x + width is rounded, and has no way back. Not where somebody moved the boxes since.
        stated = np.asarray(stated, np.float64).reshape(-1, 4)
        corners = np.concatenate([stated[:, :2], stated[:, :2] + stated[:, 2:]], axis=1)
        sides = stated if np.array_equal(corners, boxes) else sides
    areas = sides[:, 2] * sides[:, 3]
    columns = (each.tolist() for each in (sides, areas, scores, labels))
    return [
        {"image_id": number, "category_id": label + 1, "bbox": box, "area": area, "score": score, "iscrowd": 0, "id": 1}
        for box, area, score, label in zip(*columns)
    ]


def _corner_and_sides(boxes):
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


def _index(annotations, images, class_count):
    zero = sum(one["id"] == 0 for one in annotations) == 1
    if zero:
        log.warning(
            "an annotation has the id 0, which pycocotools takes for none: COCO's figures count its object as never "
            "found; number annotations from 1"
        )
    for number, one in enumerate(annotations, start=1):
        one["id"] = 0 if zero and one["id"] == 0 else number
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
