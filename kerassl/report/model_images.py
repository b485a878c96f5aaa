"""Detections and class activation maps of several models on the same test images, as sheets of images."""

from __future__ import annotations

import contextlib
import os
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kerassl import datasets, detectors, explain
from kerassl._display import shortened
from kerassl._drawing import legend
from kerassl._errors import UserError
from kerassl._io import files as _files
from kerassl.detectors.model_files import load
from kerassl.resizing import letterbox
from kerassl.types import PROTOCOLS, Detections

_HEIGHT = 240  # pixels of an image on a sheet
_SURE = 0.3  # the lowest score that is drawn


def model_images(
    models: Mapping[str, pathlib.Path],
    task: str,
    dataset: datasets.DetectionDataset,
    *,
    count: int,
    level: str,
    folder: pathlib.Path,
) -> list[dict]:
    """Draw detections and class activation maps of the first images that have an object, for every model.

    Args:
        models: Dict from name to the path of a localizer or detector.
        task: One of `PROTOCOLS`.
        dataset: `DetectionDataset`, whose classes are those of the models in any order.
        count: Int, the number of images.
        level: Feature map of the class activation maps.
        folder: `pathlib.Path` of the run, in which `images/` is left.

    Returns:
        List of dicts of file, title and text, for the page; empty where no image has an object.
    """
    shown = _readable((record for record in dataset if record.largest() is not None), count)
    if not shown:
        return []
    wanted = [dataset.class_names[record.classes[record.largest()]] for record in shown]
    drawn, heatmaps, best = {}, {}, {}
    for name, path in models.items():
        model = load(path)
        detected = detectors.predict(model, shown, verbose=0)
        found = [detected[record.image_id] for record in shown]
        drawn[name] = [
            each.plot(image, truth=record, score_threshold=_shown(model), width=_within(image.shape[1::-1], _HEIGHT)[0])
            for each, image, record in zip(found, map(datasets.read_image, (record.path for record in shown)), shown)
        ]
        classes = np.array([list(model.class_names).index(name) for name in wanted])
        images, boxes, scales = squares(shown, model.image_size)
        heatmaps[name] = explain.GradCAM(model, layer=level)(images, classes)
        best[name] = [_of_class(*each, _shown(model)) for each in zip(found, classes, scales)]
    side = len(images[0])  # of the last model; those of others are enlarged or shrunk
    heatmaps = {name: np.stack([_resized(heatmap, side) for heatmap in each]) for name, each in heatmaps.items()}
    sheet, maps = f"images/{task}s.png", f"images/{task}_heatmaps.png"
    draw_rows(drawn, folder / sheet)
    names = [os.path.basename(record.path) for record in shown]
    explain.side_by_side(images, heatmaps, folder / maps, boxes=boxes, names=names, found=best)
    return [
        {
            "file": sheet,
            "title": f"Detections: {PROTOCOLS[task]}",
            "text": f"The first {len(shown)} test images with an object. Dashed green: the ground truth. Solid: "
            "detections in the color of their class, with their score"
            + ("." if task == "localizer" else f", those of {_SURE:g} and more."),
        },
        {
            "file": maps,
            "title": f"Class activation maps: {PROTOCOLS[task]}",
            "text": f"Which parts of the image raise the score of the largest object's class (Grad-CAM at {level}); "
            "bright: most. Dashed green: that object. Solid: the detection of its class with the highest score.",
        },
    ]


def _resized(heatmap, side):
    return np.clip(np.asarray(Image.fromarray(heatmap).resize((side, side), Image.Resampling.BICUBIC)), 0, 1)


def _of_class(found, label, scale, least):
    """Return the detections of a class, in pixels of the letterboxed image."""
    kept = (found.classes == label) & (found.scores >= least)
    return Detections(found.boxes[kept] * scale, found.scores[kept], found.classes[kept], found.class_names)


def _shown(model):
    """Return the lowest score that is drawn: a localizer has one box."""
    return 0.0 if isinstance(model, detectors.Localizer) else _SURE


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
