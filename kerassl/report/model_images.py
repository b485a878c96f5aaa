"""Detections and class activation maps of several models on the same test images, as sheets of images."""

from __future__ import annotations

import contextlib
import os
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kerassl import datasets, detectors, explain
from kerassl._display import counted, shortened
from kerassl._drawing import legend
from kerassl._errors import UserError
from kerassl._io import files as _files
from kerassl.boxes import box_iou
from kerassl.detectors.model_files import load
from kerassl.metrics import load_predictions
from kerassl.resizing import letterbox
from kerassl.types import PROTOCOLS, Detections

_HEIGHT = 240  # pixels of an image on a sheet
_LEAST = {"frozen": 0.0, "localizer": 0.0, "detector": 0.3}  # the lowest score that is drawn: a localizer has one box
_FIRST = "The first"
_SPREAD = "From where the second detector loses most against the first to where it gains most, in even steps:"


def model_images(
    models: Mapping[str, pathlib.Path],
    task: str,
    dataset: datasets.DetectionDataset,
    *,
    count: int,
    level: str,
    folder: pathlib.Path,
    pair: bool = False,
) -> list[dict]:
    """Draw detections and class activation maps of images that have an object, for every model.

    Args:
        models: Dict from name to the path of a localizer or detector.
        task: One of `PROTOCOLS`.
        dataset: `DetectionDataset`, whose classes are those of the models in any order.
        count: Int, the number of images.
        level: Feature map of the class activation maps.
        folder: `pathlib.Path` of the run, in which `images/` is left.
        pair: Bool. Whether the models are one before and one after; images are then taken from where the second is
            worse to where it is better, if the detections of both in all images are kept, and else the first ones.

    Returns:
        List of dicts of file, title and text, for the page; empty where no image has an object.
    """
    kept = [_kept(path, task) for path in models.values()]
    objects, which = _objects(dataset, kept), _FIRST
    if pair and None not in kept:
        objects, which = _spread(objects, kept, dataset.class_names, count), _SPREAD
    shown = _readable(objects, count)
    if not shown:
        return []
    wanted = [dataset.class_names[record.classes[record.largest()]] for record in shown]
    detections, heatmaps, best = {}, {}, {}
    for (name, path), found in zip(models.items(), kept):
        model = load(path)
        found = detectors.predict(model, shown, verbose=0) if found is None else found
        detections[name] = found
        classes = np.array([list(model.class_names).index(name) for name in wanted])
        images, boxes, scales = squares(shown, model.image_size)
        heatmaps[name] = explain.GradCAM(model, layer=level)(images, classes)
        best[name] = [
            _of_class(found[record.image_id], label, scale, _LEAST[task])
            for record, label, scale in zip(shown, wanted, scales)
        ]
    side = len(images[0])  # of the last model; those of others are enlarged or shrunk
    heatmaps = {name: np.stack([_resized(heatmap, side) for heatmap in each]) for name, each in heatmaps.items()}
    maps = f"images/{task}_heatmaps.png"
    names = [os.path.basename(record.path) for record in shown]
    explain.side_by_side(images, heatmaps, folder / maps, boxes=boxes, names=names, found=best)
    return [
        _sheet(detections, task, shown, which, folder),
        {
            "file": maps,
            "title": f"Class activation maps: {PROTOCOLS[task]}",
            "text": f"Which parts of the image raise the score of the largest object's class (Grad-CAM at {level}); "
            "bright: most. Dashed green: that object. Solid: the detection of its class with the highest score.",
        },
    ]


def detection_images(model: pathlib.Path, task: str, dataset: datasets.DetectionDataset, count: int) -> list[dict]:
    """Draw the detections that are kept beside a model, in the first images that have an object.

    Args:
        model: `pathlib.Path` of a localizer or detector in the folder of its run, in which `images/` is left.
        task, dataset, count: As of `model_images`.

    Returns:
        List of a dict of file, title and text, for the page; empty where there is nothing to draw.
    """
    found = _kept(model, task)
    shown = _readable(_objects(dataset, [found]), count) if found else []
    return [_sheet({task: found}, task, shown, _FIRST, model.parent)] if shown else []


def _kept(model, task):
    """Return the detections that are kept beside a model, or None."""
    path = model.with_name(f"{task}_predictions.json")
    return load_predictions(path) if path.is_file() else None


def _objects(dataset, kept):
    """Return the records with an object that all kept detections are of: those of images that could be read."""
    kept = [found for found in kept if found is not None]
    return [
        record for record in dataset
        if record.largest() is not None and all(record.image_id in found for found in kept)
    ]  # fmt: skip


def _spread(records, found, class_names, count):
    """Return records from where the second detections are worse than the first to where they are better."""
    before, after = ([_overlap(each[record.image_id], record, class_names) for record in records] for each in found)
    order = np.argsort(np.subtract(after, before), kind="stable")
    count = min(count, len(records))
    places = ((np.arange(count) + 0.5) * len(records) / max(count, 1)).astype(int)
    return [records[place] for place in order[places]]


def _overlap(found, record, class_names):
    """Return the mean over objects of the greatest IoU with a detection of the same class that is drawn."""
    found = found.filter(_LEAST["detector"])
    if not len(found):
        return 0.0
    alike = np.array(class_names)[record.classes][:, None] == _names(found)
    return float((box_iou(record.boxes, found.boxes) * alike).max(axis=1)[~record.ignored].mean())


def _sheet(detections, task, shown, which, folder):
    """Draw detections by name in some images, and return what the page says of it."""
    images = [datasets.read_image(record.path) for record in shown]
    drawn = {
        name: [
            found[record.image_id].plot(
                image, truth=record, score_threshold=_LEAST[task], width=_within(image.shape[1::-1], _HEIGHT)[0]
            )
            for record, image in zip(shown, images)
        ]
        for name, found in detections.items()
    }
    file = f"images/{task}s.png"
    draw_rows(drawn, folder / file)
    least = f", those of {_LEAST[task]:g} and more" if _LEAST[task] else ""
    if not any(len(found[record.image_id].filter(_LEAST[task])) for found in detections.values() for record in shown):
        least += ", of which there is none in these images"
    return {
        "file": file,
        "title": f"Detections: {PROTOCOLS[task]}",
        "text": f"{which} {counted(len(shown), 'scored image')} with an object. Dashed green: the "
        f"ground truth. Solid: detections in the color of their class, with their score{least}.",
    }


def _resized(heatmap, side):
    return np.clip(np.asarray(Image.fromarray(heatmap).resize((side, side), Image.Resampling.BICUBIC)), 0, 1)


def _of_class(found, wanted, scale, least):
    """Return the detections of the class of a name, in pixels of the letterboxed image."""
    kept = (_names(found) == wanted) & (found.scores >= least)
    return Detections(found.boxes[kept] * scale, found.scores[kept], found.classes[kept], found.class_names)


def _names(found):
    """Return the name of the class of each detection: `[n]` array of str."""
    return np.array([found.class_names[label] for label in found.classes], dtype=str)


def squares(records: Sequence[datasets.Record], size: int) -> tuple[np.ndarray, list[np.ndarray], list[float]]:
    """Return letterboxed images `[N, size, size, 3]` of records, each one's largest box in them, and their scales."""
    images, boxes, scales = [], [], []
    for record in records:
        image, scale = letterbox(datasets.read_image(record.path), size)
        images.append(image)
        boxes.append(record.boxes[record.largest()][None] * float(scale))
        scales.append(float(scale))
    return np.stack(images), boxes, scales


def _readable(records, count):
    """Return the first records whose images can be read; scoring has logged the others."""
    found = []
    for record in records:
        if len(found) == count:
            break
        with contextlib.suppress(UserError):
            datasets.read_image(record.path)
            found.append(record)
    return found


def _within(size, height):
    """Return the size of an image of one height, less where it would be more than four times as wide as that."""
    by = min(height / size[1], 4 * height / size[0])
    return tuple(max(1, round(side * by)) for side in size)


def draw_rows(images_by_variant: Mapping[str, Sequence[np.ndarray]], path: pathlib.Path) -> None:
    """Draw images of one height on one sheet, a row a variant with its name above it, and a legend below."""
    font, below = ImageFont.load_default(size=16), legend(14)
    rows = {}
    for name, images in images_by_variant.items():
        resized = [Image.fromarray(image) for image in images]
        rows[name] = [image.resize(_within(image.size, _HEIGHT)) for image in resized]
    width = max(below.width, *(sum(image.width + 6 for image in row) for row in rows.values()))
    sheet = Image.new("RGB", (width, len(rows) * (_HEIGHT + 30) + below.height), "white")
    for number, (name, row) in enumerate(rows.items()):
        top, left = number * (_HEIGHT + 30), 0
        ImageDraw.Draw(sheet).text((2, top + 3), shortened(name, 80), "black", font)
        for image in row:
            sheet.paste(image, (left, top + 24))
            left += image.width + 6
    sheet.paste(below, (0, sheet.height - below.height))
    with _files.whole(path) as part:
        sheet.save(part)
