"""Predictions of a trained model, and their metrics."""

from __future__ import annotations

import os
import pathlib
import typing
from collections.abc import Sequence

from kerassl import detectors, metrics
from kerassl._display import verbosity
from kerassl._errors import UserError
from kerassl._io import outputs
from kerassl._io.parts import read_part
from kerassl._lazy import keras
from kerassl.datasets.record import Record
from kerassl.detectors.model_files import check_model, load
from kerassl.metrics.checks import class_places
from kerassl.metrics.prediction_formats import FORMATS
from kerassl.tasks.streamed import Job, WrittenPredictions, named_images, predict_into
from kerassl.types import DetectionMetrics, Detections, ImageScores, LocalizationMetrics

if typing.TYPE_CHECKING:
    from kerassl.detectors.predict import Images


@typing.overload
def predict(model: str | os.PathLike | keras.Model, images: Images, *, out: None = None) -> dict[str, Detections]: ...


@typing.overload
def predict(
    model: str | os.PathLike | keras.Model,
    images: Images,
    *,
    out: str | os.PathLike,
    format: str = "coco",
    score: float = 0.3,
    draw: bool = False,
    part: str | None = None,
    resume: bool = False,
) -> WrittenPredictions: ...


def predict(
    model: str | os.PathLike | keras.Model,
    images: Images,
    *,
    out: str | os.PathLike | None = None,
    format: str = "coco",
    score: float = 0.3,
    draw: bool = False,
    part: str | None = None,
    resume: bool = False,
) -> dict[str, Detections] | WrittenPredictions:
    """Detect objects in images, and return them, or write them into a folder.

    With `out`, images are files, and any number of them: results are kept on disk as they are made, and the memory
    that is needed does not grow with them. The folder holds what was asked for, with class names, and `settings.json`:

    - `coco`: `predictions.json`, a COCO json whose annotations have a `score`; all from 0.01 on, as average precision
      needs the unlikely ones.
    - `yolo`: `labels/` with lines of `class cx cy w h score`, and `classes.txt`.
    - `voc`: `Annotations/` of XML with a `<score>` for each object, and `classes.txt`.
    - `csv`: `predictions.csv`, a box a line, and `classes.txt`.
    - `labelstudio`: `labelstudio.json` of tasks with pre-annotations, for images that Label Studio serves from a local
      folder, and `labelstudio.xml`, the labeling interface.

    Images are named relative to the folder that was given. `evaluate` reads all but those of Label Studio.

    Args:
        model: Detector or localizer, or the path of its file.
        images: A file, a folder, a list of those or of `datasets.Record`s, or arrays; see `detectors.predict`.
        out: Str or path of a new folder, or None to return the detections.
        format: Str, see above.
        score: Float, 0 to 1. The lowest score that is drawn, and written in other formats than `coco`; 0.3 to 0.5
            looks tidy.
        draw: Bool. Also write the images with their boxes, into `drawings/`.
        part: Str, as `"3/16"`, or None for all: predict a share of the images alone, the same on every machine, into
            `part-03-of-16` in the folder. `metrics.load_predictions` reads the folder of all parts.
        resume: Bool. Continue what was stopped in the folder, with the same settings. The files are the same, to the
            byte, as if it had not been stopped.

    Returns:
        Without `out`, dict from image id (a record's own; the path as str of a file; the index as str of an array) to
        `Detections`. With `out`, `WrittenPredictions`.

    Raises:
        UserError: if the model or the images cannot be read, or the folder exists or cannot be resumed.

    Example:
        >>> found = kerassl.predict("runs/voc/detector.keras", "photo.jpg")["photo.jpg"]
        >>> PIL.Image.fromarray(found.plot("photo.jpg")).save("detections.png")
    """
    share = read_part(part)
    described = check_model(model)
    if out is None:
        if share is not None or resume or draw or format != "coco":
            raise UserError("format, draw, part and resume are for files; give out, a folder to write")
        return detections(load(model), images)
    if format not in FORMATS:
        raise UserError(f"format is {format!r}; give one of {', '.join(FORMATS)}")
    folder = pathlib.Path(out) if share is None else pathlib.Path(out, share.name)
    outputs.check_folder(folder, new=False)
    names, paths = named_images(images, out)  # before the model is loaded
    job = Job(model, described.class_names, names, paths, share, format, score, draw)
    return WrittenPredictions(folder, **predict_into(folder, job, resume))


def score(
    model: keras.Model, records: Sequence[Record], classes: Sequence[str], sizes: bool = False
) -> tuple[DetectionMetrics | LocalizationMetrics, dict[str, Detections], ImageScores]:
    """Score a localizer or a detector on records.

    Args:
        model: `detectors.Localizer` or `detectors.Detector`.
        records: list of `datasets.Record`.
        classes: tuple of str, the class names of the records; the model's own in any order.
        sizes: bool, of a detector: all twelve metrics of COCO.

    Returns:
        The metrics; predictions by image id; and the scores of each image with an object.

    Raises:
        UserError: if the model has other classes, or no image has an object.
    """
    class_places(model.class_names, classes, "the model")  # before minutes of prediction
    single = isinstance(model, detectors.Localizer)
    shown = [record for record in records if record.largest() is not None] if single else records
    if not shown:
        raise UserError(f"none of {len(records)} images has an object that is to be found; give labeled images")
    predictions = detections(model, shown)
    records = [record for record in shown if record.image_id in predictions]  # broken files are missing
    of_boxes, scores = metrics.evaluate_localization(predictions, records, classes)
    if single:
        return of_boxes, predictions, scores
    return metrics.evaluate_detections(predictions, records, classes, sizes=sizes), predictions, scores


def detections(model: keras.Model, images: Images, score_threshold: float = 0.01) -> dict[str, Detections]:
    """Detect objects in images, with a progress bar on a terminal."""
    return detectors.predict(model, images, score_threshold=score_threshold, verbose=int(verbosity() == 1))
