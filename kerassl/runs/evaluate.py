"""Scores of a model, or of predictions, on labels."""

from __future__ import annotations

import json
import logging
import math
import os
import pathlib
import typing
from collections.abc import Mapping, Sequence

from kerassl import datasets, metrics
from kerassl._display import printable
from kerassl._errors import UserError
from kerassl._io import files as _files
from kerassl._io.json import read_json
from kerassl._lazy import keras
from kerassl.datasets.class_names import read_class_names
from kerassl.datasets.images.reading import decodable
from kerassl.metrics import plots
from kerassl.metrics.checks import class_places
from kerassl.metrics.coco_results import coco_results_of
from kerassl.metrics.prediction_files import predictions_of
from kerassl.runs import outputs
from kerassl.runs.config import read_config, voc_settings
from kerassl.runs.model_files import check_model, load
from kerassl.runs.predict import score as score_model
from kerassl.runs.sources import labeled_split

log = logging.getLogger("kerassl")

# Heading and key of the table's columns; all but the first are shares.
_COLUMNS = (
    ("objects", "objects"),
    ("AP07", "voc07"),
    ("AP10", "voc10"),
    ("COCO", "coco"),
    ("IoU", "mean_iou"),
    ("Loc50", "loc_acc_50"),
    ("Loc70", "loc_acc_70"),
    ("Top-1", "top1"),
    ("Top-3", "top3"),
)
_TOTALS = {"voc07": "voc07_ap50", "voc10": "voc10_ap50", "coco": "coco_ap"}
_LEGEND = """\
AP07, AP10: average precision at IoU 0.5 by the rules of VOC 2007 (11 points) and 2010 (area); COCO: mean over IoU
0.50 to 0.95. IoU to Top-3: the best detection of an image against its largest object. All in %; – where none is."""
_MORE = (
    {"AP50": "coco_ap50", "AP75": "coco_ap75", "AR100": "coco_ar100", "AR10": "coco_ar10", "AR1": "coco_ar1"},
    {f"{kind} {size}": f"coco_{kind.lower()}_{size}" for kind in ("AP", "AR") for size in ("small", "medium", "large")},
)
_KINDS = {
    "class": "on an object (IoU 0.5 or more) of another class",
    "box": "of the right class, but the box fits badly (IoU 0.1 to 0.5)",
    "both": "of the wrong class, and the box fits badly",
    "duplicate": "on an object that a detection of a higher score found",
    "background": "on nothing (IoU below 0.1 with every object)",
    "missed": "objects that nothing found, not even badly",
}


class Truth(typing.NamedTuple):
    """What is scored against.

    Attributes:
        records: `datasets.DetectionDataset`.
        classes: tuple of str.
        split: str or None.
        categories: dict from COCO's category ids to classes, or None where the labels are no COCO json.
    """

    records: datasets.DetectionDataset
    classes: tuple
    split: str | None
    categories: Mapping | None


def ground_truth(config, coco, images, classes, shards=None, named=None):
    """Reads the labels.

    Args:
        config: `Config`, whose `data.voc` is read where neither a COCO json nor shards are named.
        coco: str or None, a COCO json.
        images: str or None, the folder of its images.
        classes: sequence of str or None, the names of the model that is scored.
        shards: str or None, a folder of labeled shards.
        named: sequence of str or None, the names that were asked for, of a COCO json or of shards.

    Returns:
        `Truth`.

    Raises:
        UserError: if nothing is named, or what is named cannot be read, or its classes are not the model's.
    """
    voc = config.data.voc
    if shards is not None:
        return _of_shards(shards, coco, images, classes, named)
    if coco is not None:
        if images is None:
            raise UserError(f"with --coco {coco} give --images, the folder of its images")
        names = (named and read_class_names(named)) or (voc and voc.classes) or classes
        if names:
            _check_classes(classes, names)
        allow = config.data.allow_broken_labels
        read = datasets.DetectionDataset.from_coco(coco, images, class_names=names or None, allow_broken=allow)
        return Truth(read, read.class_names, None, read.categories)
    if images is not None:
        raise UserError(f"--images {images} is for --coco; the images of a VOCdevkit are in it")
    if voc is None:
        raise UserError(
            "no labeled images are named; give --voc a VOCdevkit, --coco a json, or data.voc.root in the configuration"
        )
    names = tuple(voc.classes or classes or datasets.VOC_CLASSES)
    _check_classes(classes, names)
    return Truth(labeled_split(config, voc.test, names), names, voc.test, None)


def _check_classes(classes, names):
    """Refuses, before anything is read, a model of other classes than the labels'."""
    if classes is not None:
        class_places(classes, names, "the model")


def _of_shards(shards, coco, images, classes, named):
    if coco is not None or images is not None:
        raise UserError(f"--shards {shards} is named beside --coco or --images; give the labels of one data set")
    read = datasets.DetectionDataset.from_shards(shards)
    if named is not None:
        class_places(read_class_names(named), read.class_names, "--classes", f"the shards in {shards}")
    _check_classes(classes, read.class_names)
    return Truth(read, read.class_names, None, None)


def read_predictions(paths, truth):
    """Reads detections from whichever kind of file it is.

    Args:
        paths: list of str: one json of `metrics.save_predictions` or of COCO's results, a folder of the VOC devkit's
            result files, or such files.
        truth: `Truth`.

    Returns:
        Dict of predictions by image id.

    Raises:
        UserError: if a file is missing, of no such kind, malformed, or of another data set.
    """
    ids = [record.image_id for record in truth.records]
    first = pathlib.Path(paths[0])
    if first.is_dir() or first.suffix.lower() == ".txt":
        if first.is_dir() and len(paths) > 1:
            raise UserError(f"{first} is a folder, and {paths[1]} is named too; give one folder, or files")
        return metrics.load_voc_results(first if first.is_dir() else paths, truth.classes, ids, split=truth.split)
    if len(paths) > 1:
        raise UserError(f"{first} and {paths[1]} are named; of json files give one")
    if not first.exists():
        raise UserError(f"there is no file of predictions at {first}; `kerassl predict` writes one")
    content = read_json(first, "give a predictions.json of `kerassl predict`, or a COCO results json")
    if isinstance(content, list):
        if truth.categories is None:
            raise UserError(
                f"{first} is a COCO results json; give --coco the json that numbers its images and categories"
            )
        return coco_results_of(content, first, truth.categories, ids)
    return _by_file(predictions_of(content, first), truth.records)


def without_broken(truth, predictions):
    """Leaves out images without predictions that nobody could have made: those that cannot be decoded.

    Args:
        truth: `Truth`.
        predictions: dict by image id.

    Returns:
        `Truth`.
    """
    missing = [record for record in truth.records if record.image_id not in predictions]
    broken = set()
    if missing and len(missing) < len(truth.records):
        whole = decodable([record.path for record in missing])
        broken = {record.image_id for record, good in zip(missing, whole) if not good}
    if broken:
        log.warning("%d images that cannot be decoded left out: %s", len(broken), ", ".join(sorted(broken)[:5]))
    return truth._replace(records=[record for record in truth.records if record.image_id not in broken])


def table(figures):
    """The figures of `metrics.evaluate_detections` as lines to print."""
    names = list(figures["per_class_objects"])
    width = min(60, max(len("all, mean"), *(len(printable(name)) for name in names))) + 2
    lines = ["".ljust(width) + "".join(f"{heading:>9}" for heading, _ in _COLUMNS)]
    for name in names:
        row = [figures[f"per_class_{key}"][name] for _, key in _COLUMNS]
        lines.append(printable(name).ljust(width) + _cells(row))
    total = [sum(figures["per_class_objects"].values())]
    total += [figures[_TOTALS.get(key, key)] for _, key in _COLUMNS[1:]]
    if len(names) > 1:
        lines.append("all, mean".ljust(width) + _cells(total))
    lines.append(_LEGEND)
    for names in _MORE:
        told = [f"{name} {_percent(figures[key])}" for name, key in names.items() if key in figures]
        if told:
            lines.append(f"COCO's {', '.join(told)}")
    lines.append("")
    return "\n".join([*lines, *_errors(figures["errors"], width)])


def _errors(errors, width):
    ignored = f", {errors['ignored']:,} on difficult objects" if errors["ignored"] else ""
    yield (
        f"{errors['detections']:,} detections, {errors['right']:,} right{ignored}; AP50 (VOC10) "
        f"{_percent(errors['ap50'])}, and points of it to gain if a kind of error alone were mended:"
    )
    for kind, says in _KINDS.items():
        gain = errors["ap50_gain"][kind]
        points = "–" if math.isnan(gain) else f"+{100 * gain:.1f}"
        yield f"{kind.ljust(width)}{errors['counts'][kind]:>9,}{points:>9}  {says}"


def _cells(row):
    return f"{row[0]:>9,}" + "".join(f"{_percent(value):>9}" for value in row[1:])


def _percent(value):
    return "–" if math.isnan(value) else f"{100 * value:.1f}"


def plot_files(folder):
    """The files that `draw` writes, or none for None."""
    return [] if folder is None else [pathlib.Path(folder, name) for name in ("precision_recall.png", "errors.png")]


def draw(folder, predictions, truth, figures):
    """Writes `precision_recall.png` and `errors.png`.

    Args:
        folder: str or `pathlib.Path`, made where it is missing.
        predictions, truth: as scored; images without predictions are left out.
        figures: those of `metrics.evaluate_detections`, or of a localizer.

    Returns:
        List of `pathlib.Path`.
    """
    paths = plot_files(folder)
    records = [record for record in truth.records if record.image_id in predictions]
    plots.precision_recall(predictions, records, truth.classes, paths[0], overwrite=True)
    errors = figures.get("errors") or metrics.error_kinds(predictions, records, truth.classes)
    plots.error_bars(errors, paths[1], overwrite=True)
    return paths


def write_figures(path, figures):
    """Writes figures as JSON that every program reads: null where there was nothing to find."""
    with _files.whole(pathlib.Path(path)) as part:
        part.write_text(json.dumps(_without_nan(figures), indent=1) + "\n", encoding="utf-8")


def _without_nan(value):
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


def _by_file(predictions, records):
    """Predictions that are named by image files, as `kerassl predict` names them, under the ids of those images."""
    ids = {pathlib.Path(record.path).name: record.image_id for record in records}
    known = {record.image_id for record in records}
    names = [pathlib.Path(name).name for name in predictions]
    if any(name in known for name in predictions) or not all(name in ids for name in names):
        return predictions
    if len(set(names)) < len(names) or len(ids) < len(records):
        return predictions
    log.info("predictions are named by image files; they are taken for the images of those names")
    return metrics.Predictions(
        {ids[name]: found for name, found in zip(names, predictions.values())}, predictions.classes
    )


def evaluate(
    model: str | os.PathLike | keras.Model | None = None,
    data: datasets.DetectionDataset | None = None,
    *,
    predictions: Sequence[str] | None = None,
    config: str | os.PathLike | None = None,
    voc: str | None = None,
    year: int | None = None,
    split: str | None = None,
    classes: Sequence[str] | None = None,
    allow_broken_labels: bool | None = None,
    coco: str | None = None,
    images: str | None = None,
    shards: str | None = None,
    score: float | None = None,
    out: str | os.PathLike | None = None,
    plots: str | os.PathLike | None = None,
) -> dict:
    """Score a detector or a localizer, or saved predictions, on labels.

    Args:
        model: Detector or localizer, or the path of its file; or None for `predictions`.
        data: `datasets.DetectionDataset`, the labels; or None for those that the other arguments name.
        predictions: Sequence of paths: one json of `metrics.save_predictions` or of COCO's results, or the VOC
            devkit's result files or their folder.
        config: Str or path of a YAML file, whose `data.voc` names the labels where nothing else does.
        voc, year, split, classes, allow_broken_labels: The labels of a VOCdevkit, as of `datasets.voc_records`.
        coco, images: Str. A COCO json, and the folder of its images.
        shards: Str. A folder of labeled shards.
        score: Float. The lowest score of the detections whose errors are sorted; None counts all. Average precision
            always counts all.
        out: Str or path of a `.json` file for the figures, or None.
        plots: Str or path of a folder for plots of precision against recall and of errors, or None.

    Returns:
        Dict of figures, as of `metrics.evaluate_detections`; of a localizer those of its one box and class.

    Raises:
        UserError: if labels, model or predictions cannot be read or do not fit each other.

    Example:
        >>> kerassl.evaluate("runs/voc/detector.keras", test, plots="plots")["voc10_ap50"]
    """
    if (model is None) == (predictions is None):
        raise UserError("give either --model or --predictions to evaluate")
    for flag, value in (("--coco", coco), ("--shards", shards)):
        if value is not None and any(each is not None for each in (voc, split, year)):
            raise UserError(f"{flag} {value} is named beside --voc, --year or --split; give the labels of one data set")
    outputs.check_file(out, (".json",), "JSON")
    outputs.check_folder(plots, new=False)
    for path in plot_files(plots):
        outputs.check_file(path)
    settings = voc_settings("test", voc, year, split, classes, allow_broken_labels)
    if coco is not None or shards is not None:
        settings = {"data.allow_broken_labels": allow_broken_labels}
    known = None if model is None else check_model(model).classes
    if data is None:
        truth = ground_truth(read_config(config, settings), coco, images, known, shards, classes)
    else:
        _check_classes(known, data.class_names)
        truth = Truth(data, tuple(data.class_names), None, data.categories)
    if model is not None:
        figures, found, _ = score_model(load(model), truth.records, truth.classes, sizes=True)
    else:
        found = read_predictions(predictions, truth)
        truth = without_broken(truth, found)
        figures = metrics.evaluate_detections(found, truth.records, truth.classes, sizes=True)
    if score is not None and "errors" in figures:
        errors = metrics.error_kinds(found, truth.records, truth.classes, score_threshold=score)
        figures = {**figures, "errors": errors}
    if out is not None:
        write_figures(out, figures)
    if plots is not None:
        draw(plots, found, truth, figures)
    return figures
