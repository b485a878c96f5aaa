"""The pages of an audit: a table of images that is sorted by its heads, regions that recur, and the same as JSON."""

from __future__ import annotations

import io
import json
import os
import pathlib
import time
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from kerassl import datasets, explain
from kerassl._display import verbosity
from kerassl._environment import machine
from kerassl._io import files as _files
from kerassl._io import outputs
from kerassl._lazy import keras
from kerassl.config.config import as_flags, read_config
from kerassl.config.sources import labels_title, open_labels
from kerassl.detectors.model_files import check_model, load
from kerassl.report.audit import EXAMPLES, audit_page
from kerassl.report.render import data_uri
from kerassl.resizing import letterbox

_SIDE = 200  # px, of an image on the page


def audit(
    model: str | os.PathLike,
    *,
    out: str | os.PathLike,
    config: str | os.PathLike | None = None,
    data: datasets.DetectionDataset | str | os.PathLike | None = None,
    data_images: str | os.PathLike | None = None,
    split: str | None = None,
    classes: Sequence[str] | None = None,
    allow_broken_labels: bool | None = None,
    count: int | None = None,
    level: str = "P4",
    drawn: int = 24,
    seed: int | None = None,
) -> explain.Audit:
    """Find where a model is right for the wrong reason, on labeled images.

    Args:
        model: Str or path of a `detector.keras` or `localizer.keras`.
        out: Str or path of a new folder for `report.html`, `audit.json` and `regions.json`.
        config: Str or path of a YAML file.
        data, data_images, split, classes, allow_broken_labels: The labels of any format, see `DetectionDataset.open`;
            None takes those of `data.test` in the configuration.
        count: Int. At most so many images, chosen by the seed; None is all. 300 and more show most.
        level: `"P3"`, `"P4"` or `"P5"`, the feature map. Finer ones show smaller things.
        drawn: Int. The images that the page draws, the worst first.
        seed: Int.

    Returns:
        `explain.Audit`.

    Raises:
        UserError: if labels or the model cannot be read, or the folder exists.
    """
    read = read_config(config, as_flags({"seed": seed}))
    outputs.check_folder(out)
    known = check_model(model).class_names
    records = open_labels(data, data_images, split, classes, allow_broken_labels, config=read, known=known)
    if count is not None and count < len(records):
        records = records.subset(count, seed=read.seed)
    network = load(model)
    begun = time.perf_counter()
    found = explain.audit_model(network, records, layer=level, seed=read.seed, verbose=int(verbosity() == 1))
    about = {
        "model": str(model),
        "data": labels_title(data, split, config=read),
        "level": level,
        "seconds": round(time.perf_counter() - begun),
    }
    with _files.whole(out, replace=False) as part:
        part.mkdir(parents=True)
        write_audit(network, found, records, part, level=level, drawn=drawn, settings=about)
    return found


def write_audit(
    model: keras.Model,
    found: explain.Audit,
    records: Sequence[datasets.Record],
    folder: pathlib.Path,
    *,
    level: str = "P4",
    drawn: int = 24,
    settings: dict | None = None,
) -> pathlib.Path:
    """Write `report.html`, `audit.json` and `regions.json` of an audit.

    Args:
        model: What was audited, with `image_size` and `classes`.
        found: `explain.Audit`.
        records: Sequence of `datasets.Record`, those that were audited.
        folder: `pathlib.Path` to write them in; it is made if it is missing.
        level: Str. The feature map of the CAMs that are drawn.
        drawn: Int. The images, the worst first, that are drawn.
        settings: Dict of the settings of the audit, for the page and the JSON; or None.

    Returns:
        `pathlib.Path` of the page.
    """
    about = {"machine": machine(), **(settings or {})}
    by_id = {record.image_id: record for record in records}
    shown = [(row["image"], row["class"]) for row in found.rows[:drawn]]
    marks = [*found.findings, *found.unused]
    examples = [(image, each["class"]) for each in marks for image in each["images"][:EXAMPLES]]
    overlays = _overlays(model, [*shown, *examples], by_id, level)
    content = {
        "settings": about,
        "figures": found.figures(),
        "classes": found.by_class(),
        "findings": found.findings,
        "unused": found.unused,
        "rows": found.rows,
    }
    with _files.whole(folder / "audit.json") as part:
        part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    with _files.whole(folder / "regions.json") as part:
        part.write_text(json.dumps(found.regions(), indent=1) + "\n", encoding="utf-8")
    patches = {(each["class"], tuple(each["region"])): _uri(_mean_patch(each, by_id)) for each in marks}
    with _files.whole(folder / "report.html") as part:
        part.write_text(audit_page({**content, "images": len(by_id)}, overlays, patches), encoding="utf-8")
    return folder / "report.html"


def _overlays(model, wanted, records, level):
    """Return data URIs of images with their CAMs, objects and regions, by (image, class)."""
    cam = explain.GradCAM(model, layer=level)
    found = {}
    for image_id, name in dict.fromkeys(wanted):
        record, label = records[image_id], list(model.class_names).index(name)
        square, scale = letterbox(datasets.read_image(record.path), model.image_size)
        heatmap = cam(square.numpy(), label)[0]
        # With the letterbox's padding: a model may look there, too.
        image = Image.fromarray(explain.overlay(square.numpy(), heatmap))
        by = _SIDE / model.image_size
        image = image.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
        pen = ImageDraw.Draw(image)
        for box in record.boxes[(record.classes == label) & ~record.crowd] * float(scale) * by:
            pen.rectangle([float(side) for side in box], outline="lime", width=2)
        found[image_id, name] = _uri(image)
    return found


def _mean_patch(finding, records):
    """Return the mean of the images in the region, which is sharp where they agree."""
    patches = []
    for image_id in finding["images"][:100]:
        image = Image.fromarray(datasets.read_image(records[image_id].path))
        x0, y0, x1, y1 = finding["region"]
        box = (x0 * image.width, y0 * image.height, x1 * image.width, y1 * image.height)
        if not patches:
            by = _SIDE / max(box[2] - box[0], box[3] - box[1])
            size = [max(1, round((box[end] - box[end - 2]) * by)) for end in (2, 3)]
        patches.append(np.asarray(image.resize(size, Image.Resampling.BILINEAR, box=box), np.float32))
    return Image.fromarray(np.rint(np.mean(patches, axis=0)).astype(np.uint8))


def _uri(image):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=85)
    return data_uri(file.getvalue())
