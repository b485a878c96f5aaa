"""Average precision by the rules of COCO, computed by pycocotools."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import logging
import os
from collections.abc import Mapping, Sequence

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from kerassl._io.arrays import read_arrays
from kerassl.datasets.record import Record
from kerassl.metrics.checks import CheckedImage, checked
from kerassl.types import COCOMetrics, Detections

log = logging.getLogger("kerassl")

_SIZES = ("small", "medium", "large")
_THRESHOLDS = np.arange(50, 100, 5)  # of the IoU, in %
_RECALLS = np.linspace(0, 1, 101)


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
    evaluation = _evaluation(checked_images, classes, predictions)
    if not sizes:
        _any_size(evaluation)
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
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


def coco_ap_of_images(
    predictions: Mapping[str, Detections], records: Sequence[Record], classes: Sequence[str]
) -> CocoMatches:
    """Return COCO's average precision as a function of images, for intervals over images.

    Detections are matched with objects once, so that a resample takes milliseconds.

    Args:
        predictions, records, classes: see `coco_ap`.

    Returns:
        `CocoMatches`, whose images are `records`: a function as `statistics.paired_bootstrap` takes it.

    Raises:
        UserError: if the predictions are not of these records.

    Example:
        >>> models = {name: coco_ap_of_images(found, val, val.class_names) for name, found in predictions.items()}
        >>> kerassl.statistics.paired_bootstrap(models, len(val)).differences
    """
    images = checked(predictions, records, classes, known_pixels=True)
    evaluation = _evaluation(images, classes, predictions)
    _any_size(evaluation)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.evaluate()
    place = {record.image_id: row for row, record in enumerate(records)}
    order = [place[record.image_id] for record, *_ in _in_cocos_order(images)]
    matched = evaluation.evalImgs  # class by class, and of each image by image
    by_class = [
        _of_class(matched[label * len(order) : (label + 1) * len(order)], order) for label in range(len(classes))
    ]
    sizes = np.array([[len(objects), len(found)] for objects, found, _, _ in by_class], int)
    return CocoMatches(np.array(list(place)), sizes, *(np.concatenate(each, axis=-1) for each in zip(*by_class)))


@dataclasses.dataclass(frozen=True, eq=False)
class CocoMatches:
    """Detections as they match objects at each IoU threshold of COCO's: average precision as a function of images.

    Attributes:
        ids: `[N]` str array, the images.
        sizes: `[C, 2]` int array, the objects and the detections of each class. The following arrays hold these of the
            first class, then of the next one.
        objects: `[G]` int array, the row of the image of each object that has to be found.
        images: `[D]` int array, the row of the image of each detection, by falling score. Detections below the last
            right one of their class, which change nothing, are left out.
        right, wrong: `[10, D]` bool array.
    """

    ids: np.ndarray
    sizes: np.ndarray
    objects: np.ndarray
    images: np.ndarray
    right: np.ndarray
    wrong: np.ndarray

    def __call__(self, rows: np.ndarray) -> dict[str, float]:
        """Return `coco_ap`, `coco_ap50` and `coco_ap75` of images, of which one may be drawn several times.

        An image that is drawn twice counts as two images with the same objects and detections.

        Args:
            rows: `[n]` int array of indices of `ids`.
        """
        return self.of_counts(np.bincount(rows, minlength=len(self.ids)))

    def of_counts(self, counts: np.ndarray) -> dict[str, float]:
        """Return the same where each image counts so often: `counts` is a `[N]` int array."""
        wanted, weights = counts[self.objects], counts[self.images].astype(np.int64)
        found, start = [], np.zeros(2, int)
        for stop in np.cumsum(self.sizes, axis=0):
            objects, own = wanted[start[0] : stop[0]].sum(), slice(start[1], stop[1])
            if objects:
                found.append(_average_precision(self.right[:, own], self.wrong[:, own], weights[own], objects))
            start = stop
        each = np.mean(found, 0) if found else np.full(len(_THRESHOLDS), np.nan)
        return {
            "coco_ap": float(each.mean()),
            "coco_ap50": float(each[_THRESHOLDS == 50].mean()),
            "coco_ap75": float(each[_THRESHOLDS == 75].mean()),
        }

    def save(self, path: str | os.PathLike) -> None:
        """Write a `.npz` file, from which `load` reads the same."""
        with open(path, "wb") as file:
            np.savez_compressed(file, **{each.name: getattr(self, each.name) for each in dataclasses.fields(self)})

    @classmethod
    def load(cls, path: str | os.PathLike) -> CocoMatches:
        """Read what `save` wrote."""
        kept = read_arrays(path)
        return cls(**{each.name: kept[each.name] for each in dataclasses.fields(cls)})


def _average_precision(right, wrong, weights, objects):
    """`[10]`, the average precision of a class whose detections and objects count so often."""
    right, wrong = (np.cumsum(each * weights, axis=1) for each in (right, wrong))
    found = np.zeros(len(right))
    precision = right / np.maximum(right + wrong, np.spacing(1))
    precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    for row, (recall, best) in enumerate(zip(right / objects, precision)):
        places = np.searchsorted(recall, _RECALLS, side="left")
        found[row] = best[places[places < len(best)]].sum() / len(_RECALLS)
    return found


def _of_class(images, order):
    """Objects, images, right and wrong of `CocoMatches` for a class, from what pycocotools found in each image."""
    shown = [(place, one) for place, one in zip(order, images) if one is not None]
    objects = [np.full(int(np.sum(np.equal(one["gtIgnore"], 0))), place, int) for place, one in shown]
    scores = [np.asarray(one["dtScores"], float) for _, one in shown]
    rank = np.argsort(-np.concatenate([np.zeros(0), *scores]), kind="mergesort")
    places = np.concatenate([np.zeros(0, int), *(np.full(len(own), row) for (row, _), own in zip(shown, scores))])
    matched, ignored = (
        np.concatenate([np.zeros([10, 0], bool), *(np.asarray(one[key]) != 0 for _, one in shown)], axis=1)[:, rank]
        for key in ("dtMatches", "dtIgnore")
    )
    right, wrong = matched & ~ignored, ~matched & ~ignored
    last = np.flatnonzero(right.any(0))[-1:].sum() + right.any()
    return np.concatenate([np.zeros(0, int), *objects]), places[rank][:last], right[:, :last], wrong[:, :last]


def _evaluation(checked_images, classes, predictions):
    """The `_Evaluation` of images that are checked, before it has evaluated."""
    objects, found = [], []
    for number, (record, boxes, scores, labels) in enumerate(_in_cocos_order(checked_images), start=1):
        objects += _objects(number, record)
        found += _detections(number, boxes, scores, labels, predictions[record.image_id].coco_boxes)
    with contextlib.redirect_stdout(io.StringIO()):
        return _Evaluation(
            _index(objects, len(checked_images), len(classes)),
            _index(found, len(checked_images), len(classes)),
            "bbox",
        )


def _any_size(evaluation):
    """Leave out the metrics by the sizes of objects."""
    evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
    evaluation.params.maxDets = [100]


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
