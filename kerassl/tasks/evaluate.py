"""Scores of a model, or of predictions, on labels."""

from __future__ import annotations

import dataclasses
import logging
import os
import pathlib
import typing
from collections.abc import Mapping, Sequence

from kerassl import datasets, metrics
from kerassl._errors import UserError
from kerassl._io import files as _files
from kerassl._io.json import read_json
from kerassl._lazy import keras
from kerassl.config.config import read_config, voc_settings
from kerassl.datasets.class_names import read_class_names
from kerassl.datasets.images.reading import decodable
from kerassl.metrics import plots
from kerassl.metrics.checks import class_places
from kerassl.metrics.coco_results import coco_results_of
from kerassl.metrics.prediction_files import holds_predictions, predictions_of
from kerassl.runs import outputs
from kerassl.runs.model_files import check_model, load
from kerassl.runs.predict import score as score_model
from kerassl.runs.sources import labeled_split
from kerassl.types import DetectionMetrics, LocalizationMetrics

log = logging.getLogger("kerassl")


class Truth(typing.NamedTuple):
    """Ground truth.

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
    """Read the labels.

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
    """Read detections from any kind of file.

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
    if len(paths) == 1 and holds_predictions(first):
        return _by_file(metrics.load_predictions(first), truth.records)
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
    """Leave out images without predictions that cannot be decoded.

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


def plot_files(folder):
    """The files that `draw` writes, or none for None."""
    return [] if folder is None else [pathlib.Path(folder, name) for name in ("precision_recall.png", "errors.png")]


def draw(folder, predictions, truth, errors=None):
    """Write `precision_recall.png` and `errors.png`.

    Args:
        folder: str or `pathlib.Path`, made where it is missing.
        predictions, truth: as scored; images without predictions are left out.
        errors: `DetectionErrors`, or None: all are counted.

    Returns:
        List of `pathlib.Path`.
    """
    paths = plot_files(folder)
    records = [record for record in truth.records if record.image_id in predictions]
    plots.precision_recall(predictions, records, truth.classes, paths[0], overwrite=True)
    errors = errors or metrics.error_kinds(predictions, records, truth.classes)
    plots.error_bars(errors, paths[1], overwrite=True)
    return paths


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
    return {ids[name]: found for name, found in zip(names, predictions.values())}


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
) -> DetectionMetrics | LocalizationMetrics:
    """Score a detector or a localizer, or saved predictions, on labels.

    Args:
        model: Detector or localizer, or the path of its file; or None for `predictions`.
        data: `datasets.DetectionDataset`, the labels; or None for those that the other arguments name.
        predictions: Sequence of paths: one json of `metrics.save_predictions` or of COCO's results, a folder that
            `kerassl predict` wrote or that holds all its parts, or the VOC devkit's result files or their folder.
        config: Str or path of a YAML file, whose `data.voc` names the labels where nothing else does.
        voc, year, split, classes, allow_broken_labels: The labels of a VOCdevkit, as of `datasets.voc_records`.
        coco, images: Str. A COCO json, and the folder of its images.
        shards: Str. A folder of labeled shards.
        score: Float. The lowest score of the detections whose errors are sorted; None counts all. Average precision
            always counts all.
        out: Str or path of a `.json` file for the figures, or None.
        plots: Str or path of a folder for plots of precision against recall and of errors, or None.

    Returns:
        `DetectionMetrics`; of a localizer `LocalizationMetrics`.

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
    known = None if model is None else check_model(model).class_names
    if data is None:
        truth = ground_truth(read_config(config, settings), coco, images, known, shards, classes)
    else:
        _check_classes(known, data.class_names)
        truth = Truth(data, tuple(data.class_names), None, data.categories)
    if model is not None:
        result, found, _ = score_model(load(model), truth.records, truth.classes, sizes=True)
    else:
        found = read_predictions(predictions, truth)
        truth = without_broken(truth, found)
        result = metrics.evaluate_detections(found, truth.records, truth.classes, sizes=True)
    if score is not None and isinstance(result, DetectionMetrics):
        errors = metrics.error_kinds(found, truth.records, truth.classes, score_threshold=score)
        result = dataclasses.replace(result, errors=errors)
    if out is not None:
        with _files.whole(pathlib.Path(out)) as part:
            part.write_text(result.to_json() + "\n", encoding="utf-8")
    if plots is not None:
        draw(plots, found, truth, result.errors if isinstance(result, DetectionMetrics) else None)
    return result
