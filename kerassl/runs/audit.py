"""The pages of an audit: a table of images that is sorted by its heads, regions that recur, and the same as JSON."""

import base64
import io
import json
import pathlib
import time

import numpy as np
from PIL import Image, ImageDraw

from kerassl import datasets, explain
from kerassl._display import printable
from kerassl._errors import UserError
from kerassl._io import files as _files
from kerassl.metrics.checks import class_places
from kerassl.report.audit_page import EXAMPLES, audit_page
from kerassl.resizing import letterbox
from kerassl.runs import outputs
from kerassl.runs.config import read_config
from kerassl.runs.model_files import check_model, load
from kerassl.runs.results import machine
from kerassl.runs.running import verbosity
from kerassl.runs.sources import labelled_split

_SIDE = 200  # px, of a picture on the page


def audit_command(options, flags):
    """Does what `kerassl audit` is asked.

    Args:
        options: what the command was given.
        flags: dict of those of the VOCdevkit, as `read_config` takes them.
    """
    # The same checks as any count of images gets, before a model is loaded.
    flags = {**flags, "seed": options.seed}
    config = read_config(options.config, flags)
    voc = config.data.voc
    if voc is None:
        raise UserError("no labelled images are named; give --voc a VOCdevkit, or data.voc.root in the configuration")
    outputs.check_folder(options.out)
    known = list(check_model(options.model).classes)
    if voc.classes:
        class_places(known, voc.classes, "the model")  # of another order they are read in the model's
    records = labelled_split(config, voc.test, known)
    if options.count is not None and options.count < len(records):
        records = labelled_split(config, voc.test, known, count=options.count, seed=config.seed)
    model = load(options.model)
    begun = time.perf_counter()
    found = explain.audit(model, records, layer=options.level, seed=config.seed, verbose=int(verbosity() == 1))
    seconds = time.perf_counter() - begun
    told = {
        "model": options.model,
        "split": voc.title(voc.test),
        "level": options.level,
        "seconds": round(seconds),
    }
    with _files.whole(options.out, replace=False) as part:
        part.mkdir(parents=True)
        write_audit(model, found, records, part, level=options.level, pictures=options.pictures, settings=told)
    figures = found.figures()
    print(
        f"{figures['images']} heatmaps: {figures['wrong_reason']} right for the wrong reason, {figures['off_object']} "
        f"off the object, {len(found.findings)} regions that recur"
    )
    for each in found.findings:
        region = ", ".join(f"{side:.2f}" for side in each["region"])
        print(f"{printable(each['class'])}: [{region}] in {len(each['images'])} images, p {each['p_value']:.3g}")
    print(f"report: {pathlib.Path(options.out) / 'report.html'}")


def write_audit(model, found, records, folder, *, level="P4", pictures=24, settings=None):
    """Writes `report.html`, `audit.json` and `regions.json` of an audit.

    Args:
        model: what was audited, with `image_size` and `classes`.
        found: `explain.Audit`.
        records: list of `datasets.Record`, those that were audited.
        folder: `pathlib.Path` to write them in; it is made where there is none.
        level: str. The feature map of the heatmaps that are drawn.
        pictures: int. The images, the worst first, that are drawn.
        settings: dict of what the audit was told, for the page and the JSON; or None.

    Returns:
        `pathlib.Path` of the page.
    """
    about = {"machine": machine(), **(settings or {})}
    records = {record.image_id: record for record in records}
    shown = [(row["image"], row["class"]) for row in found.rows[:pictures]]
    marks = [*found.findings, *found.unused]
    examples = [(image, each["class"]) for each in marks for image in each["images"][:EXAMPLES]]
    drawn = _overlays(model, [*shown, *examples], records, level)
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
    patches = {(each["class"], tuple(each["region"])): _uri(_mean_patch(each, records)) for each in marks}
    with _files.whole(folder / "report.html") as part:
        part.write_text(audit_page({**content, "images": len(records)}, drawn, patches), encoding="utf-8")
    return folder / "report.html"


def _overlays(model, wanted, records, level):
    """Data URIs of images with their heat, their objects and their regions, by (image, class)."""
    cam = explain.GradCAM(model, layer=level)
    found = {}
    for image_id, name in dict.fromkeys(wanted):
        record, label = records[image_id], list(model.classes).index(name)
        square, scale = letterbox(datasets.read_image(record.path), model.image_size)
        heat = cam(square.numpy(), label)[0]
        width, height = round(record.width * float(scale)), round(record.height * float(scale))
        picture = Image.fromarray(explain.overlay(square.numpy(), heat)).crop((0, 0, max(1, width), max(1, height)))
        by = _SIDE / max(picture.size)
        picture = picture.resize([max(1, round(side * by)) for side in picture.size], Image.Resampling.BICUBIC)
        pen = ImageDraw.Draw(picture)
        for box in record.boxes[(record.classes == label) & ~record.crowd] * float(scale) * by:
            pen.rectangle([float(side) for side in box], outline="lime", width=2)
        found[image_id, name] = _uri(picture)
    return found


def _mean_patch(finding, records):
    """What recurs: the mean of its images in the region, which is sharp where they agree."""
    patches = []
    for image_id in finding["images"][:100]:
        picture = Image.fromarray(datasets.read_image(records[image_id].path))
        x0, y0, x1, y1 = finding["region"]
        box = (x0 * picture.width, y0 * picture.height, x1 * picture.width, y1 * picture.height)
        if not patches:
            by = _SIDE / max(box[2] - box[0], box[3] - box[1])
            size = [max(1, round((box[end] - box[end - 2]) * by)) for end in (2, 3)]
        patches.append(np.asarray(picture.resize(size, Image.Resampling.BILINEAR, box=box), np.float32))
    return Image.fromarray(np.rint(np.mean(patches, axis=0)).astype(np.uint8))


def _uri(picture):
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
