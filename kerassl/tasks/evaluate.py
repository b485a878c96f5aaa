"""Scores of a model, or of predictions, on labels."""

from __future__ import annotations

import dataclasses
import logging
import os
import pathlib
from collections.abc import Sequence

from kerassl import datasets, metrics
from kerassl._display import printable
from kerassl._errors import UserError
from kerassl._io import files as _files
from kerassl._io import outputs
from kerassl._io.json import read_json
from kerassl._lazy import keras
from kerassl.config.config import read_config
from kerassl.config.sources import open_labels
from kerassl.datasets.images.files import source_file, without_suffix
from kerassl.datasets.images.reading import decodable
from kerassl.detectors.model_files import check_model, load
from kerassl.metrics import plots as _plots
from kerassl.metrics.coco_results import coco_results_of
from kerassl.metrics.prediction_files import holds_predictions, predictions_at, predictions_of
from kerassl.tasks.predict import score as score_model
from kerassl.types import DetectionMetrics, Detections, LocalizationMetrics

log = logging.getLogger("kerassl")

_UNLIKELY = 0.1


def evaluate(
    model: str | os.PathLike | keras.Model | None = None,
    data: datasets.DetectionDataset | str | os.PathLike | None = None,
    *,
    predictions: Sequence[str] | None = None,
    config: str | os.PathLike | None = None,
    data_images: str | os.PathLike | None = None,
    split: str | None = None,
    classes: Sequence[str] | None = None,
    allow_broken_labels: bool | None = None,
    score: float | None = None,
    out: str | os.PathLike | None = None,
    plots: str | os.PathLike | None = None,
) -> DetectionMetrics | LocalizationMetrics:
    """Score a detector or a localizer, or saved predictions, on labels.

    Classes are matched by name, in any order. Classes of the model that the labels lack have no objects; objects of a
    class that the model lacks are refused, unless `classes` leaves them out.

    Args:
        model: Detector or localizer, or the path of its file; or None for `predictions`.
        data, data_images, split, classes, allow_broken_labels: The labels of any format, see `DetectionDataset.open`,
            or a `DetectionDataset`. None takes those of `data.test` in the configuration.
        predictions: Sequence of paths: one json of `metrics.save_predictions` or of COCO's results, a folder that
            `kerassl predict` wrote (as `coco`, `yolo`, `voc` or `csv`) or that holds all its parts, or the VOC devkit's
            result files or their folder.
        config: Str or path of a YAML file.
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
    outputs.check_file(out, (".json",), "JSON")
    outputs.check_folder(plots, new=False)
    for path in plot_files(plots):
        outputs.check_file(path)
    read = read_config(config)
    content, shares, known, whose = None, False, (), "the model"
    if model is not None:
        known = check_model(model).class_names
    elif predictions is not None:
        (content, shares), whose = _read(predictions), str(predictions[0])
        if isinstance(content, dict):
            known = next((one.class_names for one in content.values() if one.class_names), ())
    labels = open_labels(data, data_images, split, classes, allow_broken_labels, config=read, known=known, whose=whose)
    if model is not None:
        result, found, _ = score_model(load(model), labels, labels.class_names, sizes=True)
    else:
        if shares and not known:  # again: the line of a class that the labels do not have is refused
            content, _ = predictions_at(whose, len(labels.class_names))
        if data is None and read.data.test is not None:
            split = split or read.data.test.split
        found = _of_labels(content, predictions, labels, split)
        found = _in_pixels(found, labels) if shares else found
        _warn_of_missing(found, whose)
        labels = _without_broken(labels, found)
        found = _with_missing(found, labels, whose) if shares else found
        result = metrics.evaluate_detections(found, labels, labels.class_names, sizes=True)
    errors = result.errors if isinstance(result, DetectionMetrics) else None
    if score is not None and isinstance(result, DetectionMetrics):
        errors = metrics.error_kinds(found, labels, labels.class_names, score_threshold=score)
        result = dataclasses.replace(result, errors=errors)
    if out is not None:
        with _files.whole(pathlib.Path(out)) as part:
            part.write_text(result.to_json() + "\n", encoding="utf-8")
    if plots is not None:
        _draw(plots, found, labels, errors)
    return result


def plot_files(folder: str | os.PathLike | None) -> list[pathlib.Path]:
    """Return the files that `evaluate` draws into a folder, or none for None."""
    return [] if folder is None else [pathlib.Path(folder, name) for name in ("precision_recall.png", "errors.png")]


def _draw(folder, predictions, labels, errors):
    curves, bars = plot_files(folder)
    records = [record for record in labels if record.image_id in predictions]
    _plots.precision_recall(predictions, records, labels.class_names, curves, overwrite=True)
    errors = errors or metrics.error_kinds(predictions, records, labels.class_names)
    _plots.error_bars(errors, bars, overwrite=True)


def _read(paths):
    """The entries of a COCO results json, predictions by image, or None for files of the devkit; and if in shares."""
    first = pathlib.Path(paths[0])
    if len(paths) == 1 and holds_predictions(first):
        return predictions_at(first)
    if first.is_dir() or first.suffix.lower() == ".txt":
        if first.is_dir() and len(paths) > 1:
            raise UserError(f"{first} is a folder, and {paths[1]} is named too; give one folder, or files")
        if first.is_dir() and not any(first.glob("comp*_det_*.txt")):
            raise UserError(
                f"{first} holds no predictions; give a folder with predictions.json, predictions.csv, labels (YOLO's "
                "files) or Annotations (VOC's XML), as `kerassl predict` writes it, or with the VOC devkit's "
                "comp4_det_<set>_<class>.txt"
            )
        return None, False
    if len(paths) > 1:
        raise UserError(f"{first} and {paths[1]} are named; of json files give one")
    if not first.exists():
        raise UserError(f"there is no file of predictions at {first}; `kerassl predict` writes one")
    content = read_json(first, "give a predictions.json of `kerassl predict`, or a COCO results json")
    return content if isinstance(content, list) else predictions_of(content, first), False


def _of_labels(content, paths, labels, split):
    """Return the predictions by the image ids of the labels."""
    ids, first = [record.image_id for record in labels], pathlib.Path(paths[0])
    if content is None:
        return metrics.load_voc_results(first if first.is_dir() else paths, labels.class_names, ids, split=split)
    if isinstance(content, dict):
        return _by_image(content, labels)
    if labels.categories is None:
        raise UserError(f"{first} is a COCO results json; give --data the json that numbers its images and categories")
    return coco_results_of(content, first, labels.categories, ids)


def _by_image(predictions, labels):
    """Predictions under the ids of the labels, where they are named by image files or by the ids of another format."""
    known = {record.image_id for record in labels}
    if any(name in known for name in predictions):
        return predictions
    best, most = predictions, 0
    for key in (os.path.realpath, os.path.basename, lambda path: _last(path, 1), lambda path: _last(path, 2)):
        ids = {key(source_file(record)): record.image_id for record in labels}
        found = {ids.get(key(name), name): one for name, one in predictions.items()}
        matched = sum(name in known for name in found)
        if matched > most and len(found) == len(predictions) and len(ids) == len(known):
            best, most = found, matched
    if most:
        log.info("predictions are named by image files; they are taken for the images of those names")
    return best


def _last(path, count):
    return pathlib.PurePath(without_suffix(path)).parts[-count:]


def _in_pixels(predictions, labels):
    """Predictions whose boxes were shares of the images' sides."""
    sides = {record.image_id: [record.width, record.height] * 2 for record in labels}
    return {
        name: dataclasses.replace(one, boxes=one.boxes * sides[name]) if name in sides else one
        for name, one in predictions.items()
    }


def _with_missing(predictions, labels, path):
    """Add images without a file of YOLO's: other tools write none where nothing was detected."""
    names = next((one.class_names for one in predictions.values()), None)
    missing = [record.image_id for record in labels if record.image_id not in predictions]
    if missing:
        log.info(
            "%d of %d images have no file in %s, first %s: nothing was detected in them",
            len(missing), len(labels), printable(path), printable(missing[0]),
        )  # fmt: skip
    return {**predictions, **dict.fromkeys(missing, Detections([], [], [], names))}


def _warn_of_missing(predictions, path):
    """Report detections that were left out as they were written: average precision needs the unlikely ones, too."""
    least = min((one.scores.min() for one in predictions.values() if len(one.scores)), default=0)
    if least >= _UNLIKELY:
        log.warning(
            "no detection of %s scores less than %.2g: average precision counts the objects that those below would "
            "find as missed; predict with --score 0.01", printable(str(path)), least,
        )  # fmt: skip


def _without_broken(labels, predictions):
    """Leave out images without predictions that cannot be decoded."""
    missing = [record for record in labels if record.image_id not in predictions]
    broken = set()
    if missing and len(missing) < len(labels):
        whole = decodable([record.path for record in missing])
        broken = {record.image_id for record, good in zip(missing, whole) if not good}
    if broken:
        log.warning("%d images that cannot be decoded left out: %s", len(broken), ", ".join(sorted(broken)[:5]))
    return labels.with_records([record for record in labels if record.image_id not in broken])
