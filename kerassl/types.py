"""Values that packages hand to each other, and the names of metrics, protocols and feature levels.

Each name is defined here once: how a metric is called in tables and plots, which protocols compare backbones, and which
strides the feature levels have.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import typing
from collections.abc import Mapping, Sequence

import numpy as np

from kerassl import _drawing
from kerassl._display import printable
from kerassl._errors import UserError
from kerassl._numbers import check, short

LEVELS = {"P3": 8, "P4": 16, "P5": 32}
"""Stride of each feature level: pixels of the input image between two locations."""

PROTOCOLS = {"frozen": "frozen features", "localizer": "localizer", "detector": "detector"}
"""Display name of each protocol by which a comparison trains and scores, from the quickest to the slowest."""


class MetricName(typing.NamedTuple):
    """Display of a metric.

    Attributes:
        name: str, for the head of a table or a plot.
        unit: str. Shares in [0, 1] have `"%"`: they are shown times 100.
        description: str, for a legend.
    """

    name: str
    unit: str
    description: str


METRIC_NAMES = {
    "mean_iou": MetricName(
        "mean IoU", "%", "shared over covered area (IoU) of the best box and the largest object, mean over images"
    ),
    "loc_acc_50": MetricName("LocAcc@0.5", "%", "share of images whose best box has an IoU of 0.5 or more"),
    "loc_acc_70": MetricName("LocAcc@0.7", "%", "share of images whose best box has an IoU of 0.7 or more"),
    "top1": MetricName("Top-1", "%", "share of images whose largest object is classified correctly"),
    "top3": MetricName("Top-3", "%", "share of images whose largest object is of one of the three best classes"),
    "voc07_ap50": MetricName(
        "AP VOC07", "%", "average precision (area under precision over recall) at IoU 0.5, 11 points, by VOC 2007"
    ),
    "voc10_ap50": MetricName("AP VOC10", "%", "average precision at IoU 0.5, all points, by the rules of VOC 2010"),
    "coco_ap": MetricName(
        "AP COCO", "%", "average precision (area under precision over recall), mean over IoU 0.50 to 0.95, by COCO"
    ),
    "coco_ap50": MetricName("AP50 COCO", "%", "average precision at IoU 0.5, by the rules of COCO"),
    "coco_ap75": MetricName("AP75 COCO", "%", "average precision at IoU 0.75, by the rules of COCO"),
    "coco_ar100": MetricName("AR100 COCO", "%", "average recall with 100 detections an image"),
    "coco_ar10": MetricName("AR10 COCO", "%", "average recall with 10 detections an image"),
    "coco_ar1": MetricName("AR1 COCO", "%", "average recall with one detection an image"),
    "coco_ap_small": MetricName("AP small", "%", "COCO's average precision on objects below 32² pixels"),
    "coco_ap_medium": MetricName("AP medium", "%", "COCO's average precision on objects of 32² to 96² pixels"),
    "coco_ap_large": MetricName("AP large", "%", "COCO's average precision on objects above 96² pixels"),
    "coco_ar_small": MetricName("AR small", "%", "COCO's average recall on objects below 32² pixels"),
    "coco_ar_medium": MetricName("AR medium", "%", "COCO's average recall on objects of 32² to 96² pixels"),
    "coco_ar_large": MetricName("AR large", "%", "COCO's average recall on objects above 96² pixels"),
    "linear_top1": MetricName("linear Top-1", "%", "top-1 accuracy of a linear classifier on the features"),
    "linear_top3": MetricName("linear Top-3", "%", "top-3 accuracy of a linear classifier on the features"),
    "knn_top1": MetricName("kNN Top-1", "%", "top-1 accuracy of the nearest neighbors (kNN); nothing is trained"),
    "minutes": MetricName("minutes", "min", "training and scoring"),
}
"""Display name, unit and description of every metric, in the order of tables."""

LOCALIZATION_METRICS = ("mean_iou", "loc_acc_50", "loc_acc_70", "top1", "top3")
"""Metrics that are means over images."""

COCO_METRICS = ("coco_ap", "coco_ap50", "coco_ap75")
"""Average precision by COCO's rules."""

AP_METRICS = ("voc07_ap50", "voc10_ap50", *COCO_METRICS)
"""Metrics of a whole data set: none of its images has a value of its own."""


@dataclasses.dataclass(frozen=True, eq=False)
class Detections:
    """The detections of one image.

    Args:
        boxes: `[n, 4]` array, (x0, y0, x1, y1) in pixels of the original image.
        scores: `[n]` array.
        classes: `[n]` array of int, indices into the class names.
        class_names: sequence of str or None. Evaluators match classes of predictions and labels by name, in any order.
        logits: `[n, C]` array or None: the logits of all classes of each box, from a model that classifies the image
            as `Localizer` does.
        coco_boxes: `[n, 4]` array or None: (x, y, width, height) as a COCO results file states them, of which
            `coco_ap` computes the areas, as pycocotools does.

    Raises:
        UserError: if shapes do not fit or a value is not a number.

    Example:
        >>> found = kerassl.predict("runs/voc/detector.keras", "photo.jpg")["photo.jpg"]
        >>> sure = found.filter(0.5)
        >>> PIL.Image.fromarray(sure.plot("photo.jpg")).save("detections.png")
    """

    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    class_names: Sequence[str] | None = None
    logits: np.ndarray | None = None
    coco_boxes: np.ndarray | None = None

    def __post_init__(self):
        for key in ("boxes", "scores", "classes"):
            object.__setattr__(self, key, _numbers(key, getattr(self, key)))
        if self.boxes.size == 0:
            object.__setattr__(self, "boxes", self.boxes.reshape(-1, 4))
        shape = self.scores.shape
        if self.scores.ndim != 1 or self.boxes.shape != (*shape, 4) or self.classes.shape != shape:
            raise UserError(
                f"detections have boxes {self.boxes.shape}, scores {shape} and classes {self.classes.shape}; give "
                "[n, 4], [n], [n]"
            )
        if self.class_names is not None:
            object.__setattr__(self, "class_names", tuple(self.class_names))

    def __len__(self) -> int:
        return len(self.scores)

    def filter(self, score: float) -> Detections:
        """Return the detections that score `score` or more.

        Args:
            score: float in [0, 1].
        """
        kept = self.scores >= check(score_threshold=score)
        own = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return Detections(**{
            name: value if value is None or name == "class_names" else value[kept] for name, value in own.items()
        })  # fmt: skip

    def plot(
        self,
        image: str | os.PathLike | np.ndarray,
        *,
        truth: typing.Any = None,
        score_threshold: float = 0.3,
        width: int | None = None,
        show_scores: bool = True,
    ) -> np.ndarray:
        """Draw the detections over their image, each in the color of its class, with class name and score.

        Args:
            image: path of an image file, or `[H, W, 3]` array in [0, 255].
            truth: `datasets.Record`, or another value with `boxes`, drawn as dashed green frames (crowd regions are
                not), or None.
            score_threshold: float in [0, 1]. Detections that score less are not drawn.
            width: int or None. Width of the result in pixels; None enlarges small images to 480, so that labels can be
                read. No side gets more than 4096 pixels, whatever the image's shape.
            show_scores: bool. Write the score behind the class name.

        Returns:
            `[H', W', 3]` uint8 array.

        Raises:
            UserError: if a class is beyond the class names, or the image cannot be read.
        """
        check(score_threshold=score_threshold, width=width)
        shown = self.filter(score_threshold)
        order = np.argsort(shown.scores, kind="stable")  # the highest score on top
        captions = [self._name(label) for label in shown.classes]
        if show_scores:
            captions = [f"{name} {score:.2f}" for name, score in zip(captions, shown.scores)]
        classes = shown.classes.astype(int)
        count = len(self.class_names) if self.class_names else int(classes.max(initial=0)) + 1
        found = [(shown.boxes[place], _drawing.color(classes[place], count), captions[place]) for place in order]
        return _drawing.draw(image, found, truth_boxes(truth), width)

    def _name(self, label):
        if self.class_names is None:
            return f"class {int(label)}"
        if not 0 <= label < len(self.class_names):
            raise UserError(f"a box is of class {int(label)}, but there are {len(self.class_names)} class names")
        return _drawing.shortened(self.class_names[int(label)], 40)

    def to_coco(self, image_id: int | str, categories: Mapping[int, int | None]) -> list[dict]:
        """Return the detections as entries of a COCO results file.

        Args:
            image_id: int or str, the image's id in the COCO file of labels.
            categories: dict from category id to class, as `DetectionDataset.categories` has it.

        Returns:
            List of dicts of `image_id`, `category_id`, `bbox` ([x, y, width, height]) and `score`.

        Raises:
            UserError: if a class has no category.
        """
        ids = {label: category for category, label in categories.items() if label is not None}
        missing = [label for label in self.classes.tolist() if label not in ids]
        if missing:
            raise UserError(f"class {missing[0]} has no category; the categories are of the classes {sorted(ids)}")
        corners = np.asarray(self.boxes, np.float64)
        stated = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
        boxes = stated if self.coco_boxes is None else self.coco_boxes
        return [
            {"image_id": image_id, "category_id": ids[label], "bbox": box, "score": score}
            for box, score, label in zip(boxes.tolist(), self.scores.tolist(), self.classes.tolist())
        ]


def truth_boxes(truth: typing.Any) -> np.ndarray:
    """`[m, 4]` boxes of labels without their crowd regions; of none for None."""
    if truth is None:
        return np.zeros([0, 4])
    crowd = getattr(truth, "crowd", None)
    return truth.boxes if crowd is None else truth.boxes[~crowd]


def _numbers(key, values):
    """An array of numbers, of whatever type."""
    wanted = "whole numbers, indices into the class names" if key == "classes" else "numbers"
    try:
        array = np.asarray(values)
    except (ValueError, TypeError, RecursionError):
        raise UserError(f"detections have {key} in lists of different lengths; give {wanted}") from None
    if isinstance(values, (list, tuple)) or array.dtype.kind not in "iuf":
        # A list may contain what NumPy takes for numbers: true, or "5" in a list of boxes.
        for value in np.asarray(values, object).ravel():
            number = isinstance(value, (int, float, np.number)) and not isinstance(value, (bool, np.bool_))
            if not number or (array.dtype.kind not in "iuf" and abs(value) > 1e18):
                raise UserError(f"detections have {short(value)} among their {key}; give {wanted}")
    return array if array.dtype.kind in "iuf" else array.astype(np.float64)


class Figures:
    """Base class of dataclasses that are written as dicts and as JSON."""

    def to_dict(self) -> dict:
        """Return the fields by name, those within fields as dicts too, without those that are None."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}  # type: ignore[arg-type]
        return {name: _plain(value) for name, value in values.items() if value is not None}

    def to_json(self) -> str:
        """Return the fields as JSON, with null for nan."""
        return json.dumps(finite(self.to_dict()), indent=1)


def _plain(value):
    if isinstance(value, Figures):
        return value.to_dict()
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return {key: _plain(each) for key, each in value.items()} if isinstance(value, dict) else value


class _Metrics(Figures):
    """Base class of metrics."""

    def scalars(self) -> dict[str, float]:
        """Return the metrics that are one number, by name."""
        return {name: value for name, value in self.to_dict().items() if name in METRIC_NAMES}


def finite(value: typing.Any) -> typing.Any:
    """Return a value of dicts and lists in Python's own types, with None for nan and infinity, which JSON lacks."""
    if isinstance(value, dict):
        return {str(key): finite(each) for key, each in value.items()}
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, (list, tuple)):
        return [finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@dataclasses.dataclass(frozen=True)
class LocalizationMetrics(_Metrics):
    """Fit of the best box of each image with its largest object, and accuracy of the best class.

    Attributes:
        mean_iou: float in [0, 1], the mean IoU.
        loc_acc_50: float in [0, 1], the share of images whose IoU is 0.5 or more.
        loc_acc_70: float in [0, 1], the share of images whose IoU is 0.7 or more.
        top1: float in [0, 1], the share of images whose class is correct; None where only boxes were scored.
        top3: float in [0, 1], the share of images whose class is among the three best; None with fewer than three
            classes.
    """

    mean_iou: float
    loc_acc_50: float
    loc_acc_70: float
    top1: float | None = None
    top3: float | None = None

    def __str__(self) -> str:
        return "  ".join(f"{METRIC_NAMES[name].name} {percent(value)}" for name, value in self.scalars().items())


@dataclasses.dataclass(frozen=True)
class VOCMetrics(_Metrics):
    """Average precision by the rules of VOC.

    Attributes:
        ap: float in [0, 1], mean over the classes that have objects; nan without any.
        per_class: dict from class name to its average precision; nan without objects.
    """

    ap: float
    per_class: dict[str, float]


@dataclasses.dataclass(frozen=True)
class COCOMetrics(_Metrics):
    """The metrics of COCO, each a mean over the classes that have objects, and nan without any.

    Attributes:
        ap: float in [0, 1], average precision, mean over IoU 0.5 to 0.95 in steps of 0.05.
        ap50, ap75: the same at one IoU.
        ar100: average recall with the 100 best detections of each class and image.
        per_class: dict from class name to its `ap`.
        ar10, ar1: average recall with 10 and 1 detections; None, as those below, where they were not asked for.
        ap_small, ap_medium, ap_large, ar_small, ar_medium, ar_large: those of objects of up to 32^2, up to 96^2 and
            more pixels (COCO's `area`, else the box).
    """

    ap: float
    ap50: float
    ap75: float
    ar100: float
    per_class: dict[str, float]
    ar10: float | None = None
    ar1: float | None = None
    ap_small: float | None = None
    ap_medium: float | None = None
    ap_large: float | None = None
    ar_small: float | None = None
    ar_medium: float | None = None
    ar_large: float | None = None


@dataclasses.dataclass(frozen=True)
class ClassMetrics:
    """The metrics of one class.

    Attributes:
        objects: int, how many there are to be found.
        voc07_ap50, voc10_ap50, coco_ap: float in [0, 1], average precision of the class; nan without objects.
        mean_iou, loc_acc_50, loc_acc_70, top1, top3: float in [0, 1], those of `LocalizationMetrics` over the images
            whose largest object is of the class; nan without such images.
    """

    objects: int
    voc07_ap50: float
    voc10_ap50: float
    coco_ap: float
    mean_iou: float
    loc_acc_50: float
    loc_acc_70: float
    top1: float
    top3: float


ERROR_KINDS = {
    "class": "on an object (IoU 0.5 or more) of another class",
    "box": "of the correct class, but the box fits poorly (IoU 0.1 to 0.5)",
    "both": "of the wrong class, and the box fits poorly",
    "duplicate": "on an object that a detection of a higher score found",
    "background": "on background (IoU below 0.1 with every object)",
    "missed": "objects without a detection",
}
"""The kinds of errors that `metrics.error_kinds` distinguishes, with what they mean."""


@dataclasses.dataclass(frozen=True)
class DetectionErrors(_Metrics):
    """The errors of a detector by kind, and what each kind costs.

    Attributes:
        counts: dict from each of `ERROR_KINDS` to the number of errors.
        ap50_gain: dict from each of `ERROR_KINDS` to how much AP50 would rise if errors of that kind were fixed.
        per_class: dict from class name to counts by kind: of the predicted class; `missed` of the object's.
        detections: int, how many there are.
        right: int, how many of them are correct.
        ignored: int, how many are on difficult objects.
        objects: int, how many are to be found.
        ap50: float in [0, 1], average precision at IoU 0.5 by the rules of VOC 2010; nan without objects.
    """

    counts: dict[str, int]
    ap50_gain: dict[str, float]
    per_class: dict[str, dict[str, int]]
    detections: int
    right: int
    ignored: int
    objects: int
    ap50: float

    def __str__(self) -> str:
        ignored = f", {self.ignored:,} on difficult objects" if self.ignored else ""
        lines = [
            f"{self.detections:,} detections, {self.right:,} correct{ignored}; AP50 (VOC10) {percent(self.ap50)}, and "
            "the points it would gain if errors of one kind were fixed:"
        ]
        for kind, description in ERROR_KINDS.items():
            gain = "–" if math.isnan(self.ap50_gain[kind]) else f"+{100 * self.ap50_gain[kind]:.1f}"
            lines.append(f"{kind:<12}{self.counts[kind]:>9,}{gain:>8}  {description}")
        return "\n".join(lines)


@dataclasses.dataclass(frozen=True)
class DetectionMetrics(_Metrics):
    """The metrics of a detector on a data set, by named protocols. All are in [0, 1], and nan without objects.

    Attributes:
        voc07_ap50, voc10_ap50: mean over classes of the average precision at IoU 0.5 by the rules of VOC 2007 and 2010.
        coco_ap, coco_ap50, coco_ap75: mean over classes of the average precision by the rules of COCO.
        coco_ar100: average recall by the rules of COCO, with 100 detections an image.
        mean_iou, loc_acc_50, loc_acc_70, top1, top3: those of `LocalizationMetrics`.
        per_class: dict from class name to `ClassMetrics`.
        errors: `DetectionErrors`.
        coco_ar10, coco_ar1: average recall with 10 and 1 detections an image, or None where it was not asked for.
        coco_ap_small, coco_ap_medium, coco_ap_large: AP of objects by their area, or None likewise.
        coco_ar_small, coco_ar_medium, coco_ar_large: recall of objects by their area, or None likewise.
    """

    voc07_ap50: float
    voc10_ap50: float
    coco_ap: float
    coco_ap50: float
    coco_ap75: float
    coco_ar100: float
    mean_iou: float
    loc_acc_50: float
    loc_acc_70: float
    top1: float
    top3: float
    per_class: dict[str, ClassMetrics]
    errors: DetectionErrors
    coco_ar10: float | None = None
    coco_ar1: float | None = None
    coco_ap_small: float | None = None
    coco_ap_medium: float | None = None
    coco_ap_large: float | None = None
    coco_ar_small: float | None = None
    coco_ar_medium: float | None = None
    coco_ar_large: float | None = None

    def to_dict(self) -> dict:
        """Return the metrics by name; those of classes as `per_class_<metric>`, a dict from class name to value."""
        values = super().to_dict()
        del values["per_class"]
        for field in dataclasses.fields(ClassMetrics):
            short_name = _PER_CLASS.get(field.name, field.name)
            values[f"per_class_{short_name}"] = {name: getattr(one, field.name) for name, one in self.per_class.items()}
        return values

    def __str__(self) -> str:
        columns = [field.name for field in dataclasses.fields(ClassMetrics)[1:]]
        heads = ["objects", *(METRIC_NAMES[key].name for key in columns)]
        rows = [(name, one) for name, one in self.per_class.items()]
        if len(rows) > 1:
            rows.append(("all, mean", dataclasses.replace(rows[0][1], objects=self.objects, **self._totals(columns))))
        width = min(60, max(len(printable(name)) for name, _ in rows)) + 2
        lines = ["".ljust(width) + "".join(f"{head:>12}" for head in heads)]
        for name, one in rows:
            cells = [f"{one.objects:,}", *(percent(getattr(one, key)) for key in columns)]
            lines.append(printable(name).ljust(width) + "".join(f"{cell:>12}" for cell in cells))
        others = {name: value for name, value in self.scalars().items() if name not in columns}
        lines.append(", ".join(f"{METRIC_NAMES[name].name} {percent(value)}" for name, value in others.items()))
        lines.append(_LEGEND)
        return "\n".join([*lines, "", str(self.errors)])

    @property
    def objects(self) -> int:
        """Number of objects to be found."""
        return sum(one.objects for one in self.per_class.values())

    def _totals(self, columns):
        return {key: getattr(self, key) for key in columns}


_PER_CLASS = {"voc07_ap50": "voc07", "voc10_ap50": "voc10", "coco_ap": "coco"}
"""Names in files, where they differ."""

_LEGEND = """\
AP VOC07, AP VOC10: average precision at IoU 0.5 by the rules of VOC 2007 (11 points) and 2010 (area); AP COCO: mean
over IoU 0.50 to 0.95. mean IoU to Top-3: the best detection of an image against its largest object. All in %."""


def percent(value: float) -> str:
    """Return a share in % with one decimal, and – for nan."""
    return "–" if math.isnan(value) else f"{100 * value:.1f}"


@dataclasses.dataclass(frozen=True)
class ImageScores(_Metrics):
    """The scores of each image by itself, of which `LocalizationMetrics` are the means.

    Attributes:
        ids: list of str, the images that have an object to be found.
        iou: list of float, the IoU of the best box with the largest object.
        top1: list of int, 1 where the best class is correct, else 0.
        top3: list of int, the same among the three best classes.
    """

    ids: list[str]
    iou: list[float]
    top1: list[int]
    top3: list[int]
