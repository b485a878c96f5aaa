"""Detections and class activation maps of the variants of a comparison, as sheets of images."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kerassl import datasets, detectors, explain
from kerassl._display import shortened
from kerassl._errors import UserError
from kerassl._io import files as _files
from kerassl.config.sources import Sources
from kerassl.detectors.model_files import load
from kerassl.resizing import letterbox
from kerassl.runs.plan.stages import Plan, Training
from kerassl.tasks.predict import detections
from kerassl.types import LEVELS, PROTOCOLS


def variant_images(plan: Plan, data: Sources) -> list[dict]:
    """Draw detections and class activation maps of the same test images for every variant, by the models that are kept.

    Args:
        plan: `Plan`, in whose folder `images/` is left.
        data: `Sources`.

    Returns:
        List of dicts of file, title and text, for the page.
    """
    shown = _readable((record for record in data.test if record.largest() is not None), plan.config.explain.images)
    if not shown:
        return []
    wanted = np.array([record.classes[record.largest()] for record in shown])
    found, folder = [], plan.folder
    for task in plan.protocols:
        level = _level(plan.config, task)
        drawn, heatmaps = {}, {}
        for name in dict.fromkeys(stage.variant for stage in plan.of(Training) if stage.protocol == task):
            model = load(plan.variants[name].folder / f"{task}.keras")
            detected = detections(model, shown)
            drawn[name] = [
                detected[record.image_id].plot(
                    datasets.read_image(record.path), truth=record, score_threshold=_shown(model)
                )
                for record in shown
            ]
            images, boxes = squares(shown, model.image_size)
            heatmaps[name] = explain.GradCAM(model, layer=level)(images, wanted)
        file = f"images/{task}s.png"
        draw_rows(drawn, folder / file)
        title = f"Detections: {PROTOCOLS[task]}"
        found.append({"file": file, "title": title, "text": "Thin green boxes are the ground truth."})
        file = f"images/{task}_heatmaps.png"
        explain.side_by_side(images, heatmaps, folder / file, boxes=boxes)
        text = f"Grad-CAM at {level} for the class of the largest object, whose box is drawn."
        found.append({"file": file, "title": f"Class activation maps: {PROTOCOLS[task]}", "text": text})
    return found


def _level(config, task):
    """Return the level that is explained: that of `explain`, or the deepest level that the protocol uses."""
    used = getattr(getattr(config, task), "levels", list(LEVELS))
    return min(config.explain.level, used[-1])  # P3 < P4 < P5


def _shown(model):
    """Return the lowest score that is drawn: a localizer has one box."""
    return 0.0 if isinstance(model, detectors.Localizer) else 0.3


def squares(records: Sequence[datasets.Record], size: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return letterboxed images `[N, size, size, 3]` of records, and the box of each one's largest object in them."""
    images, boxes = [], []
    for record in records:
        image, scale = letterbox(datasets.read_image(record.path), size)
        images.append(image)
        boxes.append(record.boxes[record.largest()][None] * float(scale))
    return np.stack(images), boxes


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


def draw_rows(images_by_variant: Mapping[str, Sequence[np.ndarray]], path: pathlib.Path, height: int = 220) -> None:
    """Draw images of one height on one sheet, a row a variant with its name above it."""
    font = ImageFont.load_default(size=16)
    rows = {}
    for name, images in images_by_variant.items():
        resized = [Image.fromarray(image) for image in images]
        rows[name] = [image.resize(_within(image.size, height)) for image in resized]
    width = max(sum(image.width + 6 for image in row) for row in rows.values())
    sheet = Image.new("RGB", (width, len(rows) * (height + 30)), "white")
    for number, (name, row) in enumerate(rows.items()):
        top, left = number * (height + 30), 0
        ImageDraw.Draw(sheet).text((2, top + 3), shortened(name, 80), "black", font)
        for image in row:
            sheet.paste(image, (left, top + 24))
            left += image.width + 6
    with _files.whole(path) as part:
        sheet.save(part)
