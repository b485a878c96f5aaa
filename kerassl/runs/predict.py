"""Predictions of a trained model, and their figures."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence

import numpy as np
from PIL import Image
from tqdm import tqdm

from kerassl import detectors, metrics
from kerassl._errors import UserError
from kerassl._io import file_names, files
from kerassl._lazy import keras
from kerassl.datasets.pipeline.letterboxed import identified
from kerassl.metrics.checks import class_places
from kerassl.runs import outputs
from kerassl.runs.model_files import check_model, load
from kerassl.runs.running import verbosity


def predict(
    model: str | os.PathLike | keras.Model,
    images: Sequence[str] | str,
    *,
    out: str | os.PathLike | None = None,
    score: float = 0.3,
) -> metrics.Predictions:
    """Detect objects in images.

    Args:
        model: Detector or localizer, or the path of its file.
        images: Images or folders of them.
        out: Str or path of a new folder for `predictions.json` and drawings, or None.
        score: Float, 0 to 1. The lowest score that is drawn; 0.3 to 0.5 looks tidy.

    Returns:
        `metrics.Predictions`, as of `detectors.predict`.

    Raises:
        UserError: if the model or the images cannot be read, or the folder exists.
    """
    outputs.check_folder(out)
    if out is not None:
        files.check_outside(out, [images] if isinstance(images, str) else images)
    check_model(model)
    _, paths = identified(images)
    network = load(model)
    found = detections(network, paths)
    if out is None:
        return found
    with files.whole(out, replace=False) as part:
        (part / "drawings").mkdir(parents=True)
        metrics.save_predictions(part / "predictions.json", found)
        for number, path in enumerate(tqdm(found, desc="draw", unit="image", disable=verbosity() == 2), 1):
            drawn = detectors.draw(path, found[path], network.class_names, score_threshold=score)
            # Numbered: files of two folders may share a name.
            name = f"{number:04d}_{file_names.file_name(pathlib.Path(path).stem)}.png"
            Image.fromarray(drawn).save(part / "drawings" / name)
    return found


def score(model, records, classes, sizes=False):
    """Score a localizer or a detector on records.

    Args:
        model: `detectors.Localizer` or `detectors.Detector`.
        records: list of `datasets.Record`.
        classes: tuple of str, the names by which the records are numbered; the model's own in any order.
        sizes: bool, of a detector: all twelve figures of COCO.

    Returns:
        Dict of figures; predictions by image id; and what each image with an object says, as `per_image` has it.

    Raises:
        UserError: if the model has other classes, or no image shows an object.
    """
    places = class_places(model.class_names, classes, "the model")  # before minutes of prediction
    if not isinstance(model, detectors.Localizer):
        predictions = detections(model, records)
        records = [record for record in records if record.image_id in predictions]  # broken files are missing
        answers = metrics.answers_for_largest(predictions, records, classes)
        figures = metrics.evaluate_detections(predictions, records, classes, sizes=sizes)
        return figures, predictions, per_image(answers, np.array(answers["rank"]), 3)
    shown = [record for record in records if record.largest() is not None]
    if not shown:
        raise UserError(f"none of {len(records)} images has an object that is to be found; give labeled images")
    predictions, logits = detectors.localizer_predictions(model, shown)
    logits = logits[:, np.argsort(places)]
    records = [record for record in shown if record.image_id in predictions]  # broken files are missing from both
    return scored(predictions, logits, records, classes), predictions, each_image(predictions, logits, records, classes)


def scored(predictions, logits, records, classes):
    """Figures of what `detectors.localizer_predictions` returned for records, each of which has an object."""
    labels = np.array([record.classes[record.largest()] for record in records])
    figures = metrics.evaluate_detections(predictions, records, classes)
    figures = {key: figures[key] for key in ("mean_iou", "loc_acc_50", "loc_acc_70")}
    return {**figures, **metrics.topk(logits, labels, (1, min(3, len(classes))))}


def each_image(predictions, logits, records, classes):
    """`per_image` of what `detectors.localizer_predictions` returned for records, each of which has an object."""
    labels = np.array([record.classes[record.largest()] for record in records])
    answers = metrics.answers_for_largest(predictions, records, classes)
    return per_image(answers, metrics.label_ranks(logits, labels), min(3, len(classes)))


def per_image(answers, ranks, most):
    """What each image says: lists `ids`, `iou`, `top1` and `top3` (1 where the class is among the first `most`)."""
    top1, top3 = (np.less(ranks, count).astype(int).tolist() for count in (1, most))
    return {"ids": answers["ids"], "iou": answers["iou"], "top1": top1, "top3": top3}


def detections(model, images, score_threshold=0.01):
    """Return the detections of a detector or a localizer in records or files, by image id."""
    if isinstance(model, detectors.Localizer):
        return detectors.localizer_predictions(model, images)[0]
    return detectors.predict(model, images, score_threshold=score_threshold, verbose=verbosity() == 1)
