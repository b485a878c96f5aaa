"""Predictions of a trained model, and their metrics."""

from __future__ import annotations

import os
import pathlib
import typing
from collections.abc import Sequence

from PIL import Image
from tqdm import tqdm

from kerassl import detectors, metrics
from kerassl._errors import UserError
from kerassl._io import file_names, files
from kerassl._lazy import keras
from kerassl.datasets.images.reading import read_image
from kerassl.datasets.pipeline.letterboxed import identified
from kerassl.datasets.record import Record
from kerassl.metrics.checks import class_places
from kerassl.runs import outputs
from kerassl.runs.model_files import check_model, load
from kerassl.runs.running import verbosity
from kerassl.types import DetectionMetrics, Detections, ImageScores, LocalizationMetrics

if typing.TYPE_CHECKING:
    from kerassl.detectors.predict import Images


def predict(
    model: str | os.PathLike | keras.Model, images: Images, *, out: str | os.PathLike | None = None, score: float = 0.3
) -> dict[str, Detections]:
    """Detect objects in images, and write `predictions.json` and drawings if a folder is given.

    Args:
        model: Detector or localizer, or the path of its file.
        images: A file, a folder, a list of those or of `datasets.Record`s, or arrays; see `detectors.predict`.
        out: Str or path of a new folder, or None; for images in files.
        score: Float, 0 to 1. The lowest score that is drawn; 0.3 to 0.5 looks tidy.

    Returns:
        Dict from image id (a record's own; the path as str of a file; the index as str of an array) to `Detections`.

    Raises:
        UserError: if the model or the images cannot be read, or the folder exists.

    Example:
        >>> found = kerassl.predict("runs/voc/detector.keras", "photo.jpg")["photo.jpg"]
        >>> PIL.Image.fromarray(found.plot("photo.jpg")).save("detections.png")
    """
    check_model(model)
    if out is None:
        return detections(load(model), images)
    outputs.check_folder(out)
    given = [images] if isinstance(images, (str, os.PathLike)) else images
    files.check_outside(out, [getattr(image, "path", image) for image in given])
    _, paths = identified(images)  # before the model is loaded
    network = load(model)
    with files.whole(out, replace=False) as part:
        found = detections(network, paths)
        (part / "drawings").mkdir(parents=True)
        metrics.save_predictions(part / "predictions.json", found)
        for number, path in enumerate(tqdm(found, desc="draw", unit="image", disable=verbosity() == 2), 1):
            # Numbered: files of two folders may share a name.
            name = f"{number:04d}_{file_names.file_name(pathlib.Path(path).stem)}.png"
            drawn = found[path].plot(read_image(path), score_threshold=score)
            Image.fromarray(drawn).save(part / "drawings" / name)
    return found


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
