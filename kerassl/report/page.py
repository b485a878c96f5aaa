"""One HTML page a run: curves, a table by arm, detections, heatmaps. It needs no network and no other file."""

import base64
import json
import pathlib

from kerassl._display import marked_up
from kerassl._io import files as _files
from kerassl.callbacks.metrics_lines import read_metrics
from kerassl.report import curves

# The figures of the table: key, heading, what it means.
COLUMNS = {
    "mean_iou": ("mean IoU", "overlap of the best box with the image's largest object, mean over images"),
    "loc_acc_50": ("LocAcc@0.5", "share of images whose box overlaps the object by 0.5 or more"),
    "loc_acc_70": ("LocAcc@0.7", "the same from 0.7 on: tight boxes"),
    "top1": ("Top-1", "share of images whose object's class is named right"),
    "top3": ("Top-3", "the same among three guesses"),
    "voc07_ap50": ("AP VOC07", "average precision at IoU 0.5, 11 points, by the rules of VOC 2007"),
    "voc10_ap50": ("AP VOC10", "average precision at IoU 0.5, all points, by the rules of VOC 2010 and later"),
    "coco_ap": ("AP COCO", "average precision, mean over IoU 0.50 to 0.95"),
    "coco_ap50": ("AP50 COCO", "average precision at IoU 0.5"),
    "coco_ap75": ("AP75 COCO", "average precision at IoU 0.75"),
    "minutes": ("minutes", "training and scoring on this machine"),
}


def write_report(folder):
    """Writes `report.html` from what a run left in its folder.

    Args:
        folder: str or `pathlib.Path` of a run: `results.json`, and where they exist `metrics.jsonl`, `config.yaml`
            and the pictures that `results.json` names.

    Returns:
        `pathlib.Path` of the page.
    """
    folder = pathlib.Path(folder)
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    lines = []
    if (folder / "metrics.jsonl").exists():
        lines = read_metrics(folder / "metrics.jsonl")
    parts = [f"<h1>{marked_up(results['title'])}</h1>", f"<p>{marked_up(results['summary'])}</p>"]
    parts += _failures(results)
    if results.get("generated"):
        parts.append(
            "<p class='note'>These results are on <b>generated scenes</b>: they show that the road works, not how "
            "good pre-training is on photographs.</p>"
        )
    if results.get("arms"):
        parts += _arms(results["arms"], results.get("verdict"))
    for title, says, png in curves.pictures(lines, results.get("pretrain")):
        parts.append(picture(title, says, png))
    for drawn in results.get("pictures", []):
        parts.append(picture(drawn["title"], drawn["says"], (folder / drawn["file"]).read_bytes()))
    config = folder / "config.yaml"
    settings = config.read_text(encoding="utf-8", errors="replace") if config.exists() else ""
    parts.append(f"<h2>Settings and machine</h2><p>{marked_up(results['machine'])}</p>")
    parts.append(f"<details><summary>all settings</summary><pre>{marked_up(settings)}</pre></details>")
    with _files.whole(folder / "report.html") as part:
        part.write_text(page(results["title"], parts), encoding="utf-8")
    return folder / "report.html"


def page(title, parts):
    """A page that needs no other file.

    Args:
        title: str.
        parts: list of str, HTML.

    Returns:
        str, HTML.
    """
    return _PAGE.replace("@@TITLE@@", marked_up(title)).replace("@@BODY@@", "\n".join(parts))


def picture(title, says, png):
    """A PNG with its heading and a sentence, as HTML that holds it."""
    title, encoded = marked_up(title), base64.b64encode(png).decode()
    return f"<h2>{title}</h2><p>{marked_up(says)}</p><img alt='{title}' src='data:image/png;base64,{encoded}'>"


def failure(figures):
    """Why a pre-training failed and what to do, or None where it did not.

    Args:
        figures: dict, as it stands in `pretrain.json`.

    Returns:
        str or None.
    """
    if figures.get("learned") is not False:
        return None
    return "; ".join(f"{alarm['kind']}: {alarm['message']}" for alarm in figures["alarms"] if alarm["at_end"])


def _failures(results):
    """A red box for each pre-training that did not learn."""
    found = {"The pre-training": results.get("pretrain")}
    found.update({f"The pre-training of {name}": arm.get("pretrain") for name, arm in results.get("arms", {}).items()})
    told = {name: failure(figures) for name, figures in found.items() if figures}
    return [
        f"<p class='bad'><b>{marked_up(name)} did not learn.</b> {marked_up(why)}</p>"
        for name, why in told.items()
        if why
    ]


def _arms(arms, found):
    """What came out: the verdict where arms were held against each other, and the figures in one table."""
    if not found:
        return [_tables(arms), _seen(arms)]
    from kerassl.report.comparison_page import verdict_parts  # here: it builds on this page's parts

    tables = f"<details><summary>figures and minutes in one table</summary>{_tables(arms)}</details>"
    return [*verdict_parts(found, arms), _pretrainings(arms), tables]


def _tables(arms):
    """One table for each task: arms down, figures across; the best of a column in bold."""
    tasks = [task for task in ("frozen", "localizer", "detector") if any(task in arm for arm in arms.values())]
    blocks = []
    for task in tasks:
        rows = {name: arm[task] for name, arm in arms.items() if task in arm}
        keys = [key for key in COLUMNS if any(key in row for row in rows.values())]
        heads = "".join(f"<th title='{marked_up(COLUMNS[key][1])}'>{COLUMNS[key][0]}</th>" for key in keys)
        body = []
        for name, row in rows.items():
            cells = "".join(f"<td>{_cell(row, key, rows.values())}</td>" for key in keys)
            body.append(f"<tr><th>{marked_up(name)}</th>{cells}</tr>")
        kind = {"yolov8": "YOLOV8"}.get(next(iter(rows.values())).get("kind"), "RetinaNet")
        names = {
            "frozen": "Localiser on frozen features (one object an image)",
            "localizer": "Localiser (one object an image)",
            "detector": f"Detector ({kind}, all objects)",
        }
        head = f"<table><thead><tr><th>arm</th>{heads}</tr></thead>"
        blocks.append(f"<h2>{names[task]}</h2>{_of_what(rows)}{head}<tbody>{''.join(body)}</tbody></table>")
    legend = "".join(f"<li><b>{head}</b>: {says}</li>" for head, says in COLUMNS.values())
    return "".join(blocks) + f"<details><summary>what the figures mean</summary><ul>{legend}</ul></details>"


def _of_what(rows):
    """What a row is the mean of, where it is one."""
    row = next(iter(rows.values()))
    if row.get("seeds", 1) == 1 and row.get("labels") is None:
        return ""
    labels = "all labels" if row["labels"] is None else f"{row['labels']} labelled images"
    seeds = "one seed" if row["seeds"] == 1 else f"mean of {row['seeds']} seeds"
    return f"<p>{labels[0].upper()}{labels[1:]}, {seeds}.</p>"


# What is told of a pre-training: key, heading, factor, form.
_PRETRAINED = {
    "images": ("images", 1, "{:.0f}"),
    "steps": ("steps", 1, "{:.0f}"),
    "loss": ("loss (nats)", 1, "{:.2f}"),
    "chance": ("chance", 1, "{:.2f}"),
    "contrast_accuracy": ("other view found, %", 100, "{:.1f}"),
    "accuracy": ("class found, %", 100, "{:.1f}"),
    "minutes": ("minutes", 1, "{:.1f}"),
}


def _pretrainings(arms):
    """A table of the pre-trainings, where several arms have one."""
    rows = {name: arm["pretrain"] for name, arm in arms.items() if arm.get("pretrain")}
    if len(rows) < 2:
        return ""
    keys = [key for key in _PRETRAINED if any(row.get(key) is not None for row in rows.values())]
    heads = "".join(f"<th>{_PRETRAINED[key][0]}</th>" for key in keys)
    body = ""
    for name, row in rows.items():
        cells = "".join(f"<td>{_number(row.get(key), *_PRETRAINED[key][1:])}</td>" for key in keys)
        body += f"<tr><th>{marked_up(name)}</th>{cells}</tr>"
    head = f"<table><thead><tr><th>arm</th>{heads}</tr></thead>"
    return f"<h2>Pre-training</h2>{head}<tbody>{body}</tbody></table>"


def _number(value, factor, form):
    return "–" if value is None else form.format(factor * value)


def _cell(row, key, rows):
    if row.get(key) is None:
        return "–"
    if key == "minutes":
        return f"{row[key]:.1f}"
    others = [other[key] for other in rows if other.get(key) is not None]
    text = f"{100 * row[key]:.1f}"
    return f"<b>{text}</b>" if row[key] == max(others) > min(others) else text


def _seen(arms):
    items = "".join(f"<li><b>{marked_up(name)}</b>: {marked_up(arm['seen'])}</li>" for name, arm in arms.items())
    return f"<h2>What each arm has seen</h2><ul>{items}</ul>"


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>@@TITLE@@</title>
<style>
body{font:16px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem;color:#1f2937}
h1{font-size:1.6rem;margin-bottom:.2rem}h2{font-size:1.15rem;margin-top:2rem}
table{border-collapse:collapse;width:100%}th,td{padding:.35rem .6rem;text-align:right;border-bottom:1px solid #e5e7eb}
th:first-child,td:first-child{text-align:left}thead th{color:#4b5563;font-weight:600;font-size:.85rem}
img{max-width:100%}pre{background:#f3f4f6;padding:1rem;overflow:auto;font-size:.8rem}
.note{background:#fef3c7;padding:.6rem 1rem;border-radius:.3rem}
.bad{background:#fee2e2;color:#991b1b;padding:.6rem 1rem;border-radius:.3rem}details{margin:.6rem 0;color:#4b5563}
</style>
<body>
@@BODY@@
</body></html>
"""
