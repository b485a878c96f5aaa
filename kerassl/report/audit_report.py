"""The pages of an audit: a table of images that is sorted by its heads, regions that recur, and the same as JSON."""

import base64
import io
import json
import pathlib
import time

import numpy as np
from PIL import Image, ImageDraw

from kerassl import datasets, explain
from kerassl._display import marked_up, printable
from kerassl._errors import UserError
from kerassl._io import files as _files
from kerassl.comparison.execute import machine
from kerassl.metrics.checks import class_places
from kerassl.resizing import letterbox
from kerassl.runs import outputs
from kerassl.runs.config import read_config
from kerassl.runs.model_files import check_model, load
from kerassl.runs.running import verbosity
from kerassl.runs.sources import labelled_split

_SIDE = 200  # px, of a picture on the page
_EXAMPLES = 4  # images that are drawn of each region that recurs
_COLUMNS = {
    "class": ("class", "whose evidence the heatmap shows"),
    "right": ("right", "whether the model names the class (a detector: finds it)"),
    "score": ("score", "of the class, 0 to 1"),
    "best": ("best", "the class with the highest score"),
    "energy": ("energy", "share of the heat in the objects' boxes"),
    "area": ("area", "share of the picture in the objects' boxes: what even heat would have"),
    "pointing": ("points", "1 where the hottest pixel lies on an object, or within 15 pixels"),
    "wrong_reason": ("wrong reason", "right, with less heat in the object than even heat would have, and than half"),
    "off_object": ("off object", "the hottest pixel lies beside every object"),
    "mark": ("mark", "the image shows a region that recurs, below"),
}
_OF_CLASS = ("images", "right", "energy", "area", "pointing", "wrong_reason", "off_object")


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
    examples = [(image, each["class"]) for each in marks for image in each["images"][:_EXAMPLES]]
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
    body = "\n".join(
        [
            "<h1>kerassl: where the model looks</h1>",
            _summary(found.figures(), len(records)),
            _recurring(found, records, drawn),
            _by_class(found.by_class()),
            _rows(found.rows, drawn),
            f"<h2>Settings and machine</h2><p>{marked_up(json.dumps(about))}</p>",
        ]
    )
    with _files.whole(folder / "report.html") as part:
        part.write_text(_PAGE.replace("@@BODY@@", body), encoding="utf-8")
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


def _summary(figures, images):
    return (
        f"<p>{images} images, {figures['images']} heatmaps of a class each. The model is right on "
        f"{_share(figures['right'])} %; of the heat, {_share(figures['energy'])} % lies in the objects, which take "
        f"{_share(figures['area'])} % of the pictures. <b>{figures['wrong_reason']}</b> times it is right for the "
        f"wrong reason, <b>{figures['off_object']}</b> times its hottest point is off the object.</p>"
    )


def _recurring(found, records, drawn):
    if not found.findings:
        parts = ["<h2>Regions that recur</h2><p>None draws the heat of a class and raises its score.</p>"]
    else:
        parts = [
            "<h2>Regions that recur</h2><p class='note'>The same thing stands at one place in images of one class, "
            "and the model looks at it. Paint it over and train again: <code>erase: regions.json</code>.</p>"
        ]
        parts += [_region(each, records, drawn) for each in found.findings]
    if found.unused:
        parts.append(
            "<h2>Regions that recur and are not used</h2><p>They do not both draw heat and raise the score.</p>"
        )
        parts += [_region(each, records, drawn) for each in found.unused]
    return "\n".join(parts)


def _region(each, records, drawn):
    name = marked_up(each["class"])
    pictures = "".join(
        f"<img alt='{marked_up(image)}' src='{drawn[image, each['class']]}'>" for image in each["images"][:_EXAMPLES]
    )
    return (
        f"<h3>{name}: {_place(each['region'])}</h3><p>In {len(each['images'])} images, {_share(each['share'])} % of "
        f"the class; outlines agree by {each['agreement']:.2f}. {_share(each['heat'])} % of their heat lies there, "
        f"{_share(each['heat_elsewhere'])} % in other classes, on {_share(each['area'])} % of the picture. Painted "
        f"over, the score of the class falls by {_plain(each['fall'])} ({_plain(each['fall_elsewhere'])} in other "
        f"classes). p = {each['p_value']:.3g}.</p><div class='strip'><img class='patch' alt='mean of the region "
        f"in images of {name}' src='{_uri(_mean_patch(each, records))}'>{pictures}</div>"
    )


def _place(region):
    x0, y0, x1, y1 = (f"{100 * side:.0f}" for side in region)
    return f"{x0}–{x1} % across, {y0}–{y1} % down"


def _by_class(classes):
    heads = [("class", "the class"), *((name, "") for name in _OF_CLASS)]
    rows = [
        [(name, marked_up(name)), *((row[key], _cell(row[key])) for key in _OF_CLASS)] for name, row in classes.items()
    ]
    return "<h2>By class</h2>" + _table(heads, rows)


def _rows(rows, drawn):
    heads = [("image", "the worst first; a head that is clicked sorts by it"), *_COLUMNS.values()]
    lines = []
    for row in rows:
        uri = drawn.get((row["image"], row["class"]))
        picture = f"<br><img alt='{marked_up(row['image'])}' src='{uri}'>" if uri else ""
        cells = [(row["image"], marked_up(row["image"]) + picture)]
        lines.append(cells + [(row[key], _cell(row[key])) for key in _COLUMNS])
    legend = "".join(f"<li><b>{head}</b>: {says}</li>" for head, says in _COLUMNS.values())
    about = f"<details><summary>what the columns mean</summary><ul>{legend}</ul></details>"
    return "<h2>Images</h2><p>Green frames are the objects.</p>" + about + _table(heads, lines)


def _table(heads, rows):
    """A table whose cells carry the values that they are sorted by."""
    first = "".join(f"<th title='{marked_up(says)}'>{marked_up(head.replace('_', ' '))}</th>" for head, says in heads)
    body = "".join(
        "<tr>" + "".join(f"<td data-v='{_sorted_by(value)}'>{text}</td>" for value, text in row) + "</tr>"
        for row in rows
    )
    return f"<table class='sortable'><thead><tr>{first}</tr></thead><tbody>{body}</tbody></table>"


def _sorted_by(value):
    if isinstance(value, bool):
        return int(value)
    return "" if value is None else marked_up(value)


def _cell(value):
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, float):
        return f"{value:.2f}"
    return "–" if value is None else marked_up(value)


def _plain(value):
    """Two places, without the sign of a nought."""
    return f"{round(value, 2) + 0.0:.2f}"


def _share(value):
    return "–" if value is None else f"{100 * value:.0f}"


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>kerassl: where the model looks</title>
<style>
body{font:16px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#1f2937}
h1{font-size:1.6rem;margin-bottom:.2rem}h2{font-size:1.15rem;margin-top:2rem}h3{font-size:1rem;margin-bottom:.2rem}
table{border-collapse:collapse;width:100%}
th,td{padding:.35rem .6rem;text-align:right;border-bottom:1px solid #e5e7eb;vertical-align:top}
th:first-child,td:first-child{text-align:left}thead th{color:#4b5563;font-weight:600;font-size:.85rem;cursor:pointer}
thead th:hover{text-decoration:underline}td{font-size:.9rem;font-variant-numeric:tabular-nums}
.strip{display:flex;gap:.5rem;flex-wrap:wrap;align-items:start}.patch{outline:3px solid #f59e0b}
.note{background:#fef3c7;padding:.6rem 1rem;border-radius:.3rem}details{margin:.6rem 0;color:#4b5563}
</style>
<body>
@@BODY@@
<script>
document.querySelectorAll("table.sortable th").forEach(head => head.addEventListener("click", () => {
  const place = head.cellIndex, body = head.closest("table").tBodies[0], up = head.dataset.up !== "1";
  head.dataset.up = up ? "1" : "0";
  const value = row => row.cells[place].dataset.v, number = text => text !== "" && !isNaN(text);
  const order = (a, b) => number(a) && number(b) ? a - b : (number(b) - number(a)) || a.localeCompare(b);
  body.append(...[...body.rows].sort((a, b) => (up ? 1 : -1) * order(value(a), value(b))));
}));
</script>
</body></html>
"""
