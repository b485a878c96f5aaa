"""Detections and class activation maps of several models on the same images, as sheets of images."""

from __future__ import annotations

import contextlib
import itertools
import os
import pathlib
from collections.abc import Mapping

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
_SPREAD = "From where the second detector is worse than the first to where it is better, in even steps:"


def model_images(
    models: Mapping[str, pathlib.Path],
    task: str,
    dataset: datasets.DetectionDataset,
    *,
    count: int,
    folder: pathlib.Path,
    level: str | None = None,
    pair: bool = False,
) -> list[dict]:
    """Draw detections and class activation maps of images that have an object, for every model.

    Args:
        models: Dict from name to the path of a localizer or detector, beside which its detections may be kept.
        task: One of `PROTOCOLS`.
        dataset: `DetectionDataset`, whose classes are those of the models in any order.
        count: Int, the number of images.
        folder: `pathlib.Path` of the run, in which `images/` is left.
        level: Feature map of the class activation maps, or None, which draws detections alone.
        pair: Bool. Whether the models are one before and one after; images are then taken from where the second is
            worse to where it is better, if the detections of both in all images are kept, and else the first ones.

    Returns:
        List of dicts of file, title and text, for the page; empty where no image has an object.
    """
    kept = [_kept(path, task, folder) for path in models.values()]
    records, which = _objects(dataset, kept), "The first"
    if pair and None not in kept:
        records, which = _spread(records, kept, dataset.class_names, count), _SPREAD
    shown = list(itertools.islice(_readable(records), count))
    if not shown:
        return []
    records = [record for record, _ in shown]
    detections = {
        name: detectors.predict(load(path), records, verbose=0) if found is None else found
        for (name, path), found in zip(models.items(), kept)
    }
    sheets = [_sheet(detections, task, shown, which, folder)]
    if level is not None:
        wanted = [dataset.class_names[record.classes[record.largest()]] for record in records]
        sheets.append(_maps(models, detections, task, shown, wanted, level, folder))
    return sheets


def _kept(model, task, folder):
    """Return the detections that the run has kept beside a model, or None; beside others they are of other images."""
    path = model.with_name(f"{task}_predictions.json")
    return load_predictions(path) if path.is_file() and folder.resolve() in path.resolve().parents else None


def _objects(dataset, kept):
    """Return the records with an object that all kept detections are of: those of images that could be read."""
    known = [found for found in kept if found is not None]
    objects = (record for record in dataset if record.largest() is not None)
    return [record for record in objects if all(record.image_id in found for found in known)]


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


def _names(found):
    """Return the name of the class of each detection: `[n]` array of str."""
    return np.array([found.class_names[label] for label in found.classes], dtype=str)


def _readable(records):
    """Yield the records whose images can be read, with these; scoring has logged the others."""
    for record in records:
        with contextlib.suppress(UserError):
            yield record, datasets.read_image(record.path)


def _sheet(detections, task, shown, which, folder):
    """Draw detections by name in some images, and return its entry of the page."""
    least, file = _LEAST[task], f"images/{task}s.png"
    rows = {
        name: [
            found[record.image_id].plot(image, truth=record, score_threshold=least, width=_size(image.shape[1::-1])[0])
            for record, image in shown
        ]
        for name, found in detections.items()
    }
    _draw_rows(rows, folder / file)
    text = f"{which} {counted(len(shown), 'scored image')} with an object. Dashed green: the ground truth. Solid: "
    text += "detections in the color of their class, with their score"
    text += f", those of {least:g} and more" if least else ""
    if not any(len(found[record.image_id].filter(least)) for found in detections.values() for record, _ in shown):
        text += ", of which there is none in these images"
    return {"file": file, "title": f"Detections: {PROTOCOLS[task]}", "text": f"{text}."}


def _size(size):
    """Return the width and height of an image on a sheet: of one height, or less of a very wide one."""
    by = min(_HEIGHT / size[1], 4 * _HEIGHT / size[0])
    return tuple(max(1, round(side * by)) for side in size)


def _draw_rows(rows, path):
    """Draw rows of images on one sheet, each with its name above it, and a legend below."""
    font, below = ImageFont.load_default(size=16), legend(14)
    resized = {
        name: [image.resize(_size(image.size)) for image in map(Image.fromarray, row)] for name, row in rows.items()
    }
    width = max(below.width, *(sum(image.width + 6 for image in row) for row in resized.values()))
    sheet = Image.new("RGB", (width, len(rows) * (_HEIGHT + 30) + below.height), "white")
    for top, (name, row) in zip(itertools.count(0, _HEIGHT + 30), resized.items()):
        ImageDraw.Draw(sheet).text((2, top + 3), shortened(name, 80), "black", font)
        for left, image in zip(itertools.accumulate((image.width + 6 for image in row), initial=0), row):
            sheet.paste(image, (left, top + 24))
    sheet.paste(below, (0, sheet.height - below.height))
    with _files.whole(path) as part:
        sheet.save(part)


def _maps(models, detections, task, shown, wanted, level, folder):
    """Draw class activation maps of the wanted class of each image, and return their entry of the page."""
    heatmaps, best = {}, {}
    for name, path in models.items():
        model = load(path)
        squares, scales = zip(*(letterbox(image, model.image_size) for _, image in shown))
        classes = np.array([list(model.class_names).index(label) for label in wanted])
        heatmaps[name] = explain.GradCAM(model, layer=level)(np.stack(squares), classes)
        found = [detections[name][record.image_id].filter(_LEAST[task]) for record, _ in shown]
        best[name] = [_of_class(*each) for each in zip(found, wanted, map(float, scales))]
    # At the size of the last model's images; maps of others are enlarged or shrunk.
    heatmaps = {name: np.stack([_resized(each, len(squares[0])) for each in own]) for name, own in heatmaps.items()}
    boxes = [record.boxes[record.largest()][None] * float(scale) for (record, _), scale in zip(shown, scales)]
    names, file = [os.path.basename(record.path) for record, _ in shown], f"images/{task}_heatmaps.png"
    explain.side_by_side(np.stack(squares), heatmaps, folder / file, boxes=boxes, names=names, found=best)
    text = (
        f"Which parts of the image raise the score of the largest object's class (Grad-CAM at {level}); bright: most. "
    )
    text += "Dashed green: that object. Solid: the detection of its class with the highest score."
    return {"file": file, "title": f"Class activation maps: {PROTOCOLS[task]}", "text": text}


def _of_class(found, label, scale):
    """Return the detections of the class of a name, in pixels of the letterboxed image."""
    own = _names(found) == label
    return Detections(found.boxes[own] * scale, found.scores[own], found.classes[own], found.class_names)


def _resized(heatmap, side):
    return np.clip(np.asarray(Image.fromarray(heatmap).resize((side, side), Image.Resampling.BICUBIC)), 0, 1)
