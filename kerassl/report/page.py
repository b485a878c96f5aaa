"""One HTML page a run: curves, a table by variant, detections, heatmaps. It needs no network and no other file."""

import json
import pathlib

from kerassl._display import marked_up
from kerassl._io import files as _files
from kerassl.callbacks.metrics_lines import read_metrics
from kerassl.report import curves
from kerassl.report.comparison_page import summary_parts
from kerassl.report.render import failure, page, picture
from kerassl.types import AP_METRICS, LOCALIZATION_METRICS, METRIC_NAMES, PROTOCOLS

COLUMNS = (*LOCALIZATION_METRICS, *AP_METRICS, "minutes")
"""The metrics of the table."""


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
    if results.get("variants"):
        parts += _variants(results["variants"], results.get("significance"))
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


def _failures(results):
    """A red box for each pre-training that did not learn."""
    found = {"The pre-training": results.get("pretrain")}
    found.update(
        {
            f"The pre-training of {name}": variant.get("pretrain")
            for name, variant in results.get("variants", {}).items()
        }
    )
    told = {name: failure(figures) for name, figures in found.items() if figures}
    return [
        f"<p class='bad'><b>{marked_up(name)} did not learn.</b> {marked_up(why)}</p>"
        for name, why in told.items()
        if why
    ]


def _variants(variants, found):
    """The significance summary where variants were compared, and the figures in one table."""
    if not found:
        return [_tables(variants), _seen(variants)]
    tables = f"<details><summary>figures and minutes in one table</summary>{_tables(variants)}</details>"
    return [*summary_parts(found, variants), _pretrainings(variants), tables]


def _tables(variants):
    """One table for each task: variants down, figures across; the best of a column in bold."""
    tasks = [task for task in PROTOCOLS if any(task in variant for variant in variants.values())]
    blocks = []
    for task in tasks:
        rows = {name: variant[task] for name, variant in variants.items() if task in variant}
        keys = [key for key in COLUMNS if any(key in row for row in rows.values())]
        heads = "".join(
            f"<th title='{marked_up(METRIC_NAMES[key].description)}'>{METRIC_NAMES[key].name}</th>" for key in keys
        )
        body = []
        for name, row in rows.items():
            cells = "".join(f"<td>{_cell(row, key, rows.values())}</td>" for key in keys)
            body.append(f"<tr><th>{marked_up(name)}</th>{cells}</tr>")
        kind = {"yolov8": "YOLOV8"}.get(next(iter(rows.values())).get("kind"), "RetinaNet")
        name = f"detector ({kind})" if task == "detector" else PROTOCOLS[task]
        head = f"<table><thead><tr><th>variant</th>{heads}</tr></thead>"
        blocks.append(
            f"<h2>{name[0].upper()}{name[1:]}</h2>{_of_what(rows)}{head}<tbody>{''.join(body)}</tbody></table>"
        )
    legend = "".join(f"<li><b>{head}</b>: {says}</li>" for head, _, says in map(METRIC_NAMES.get, COLUMNS))
    return "".join(blocks) + f"<details><summary>what the figures mean</summary><ul>{legend}</ul></details>"


def _of_what(rows):
    """What a row is the mean of, where it is one."""
    row = next(iter(rows.values()))
    if row.get("seeds", 1) == 1 and row.get("labels") is None:
        return ""
    labels = "all labels" if row["labels"] is None else f"{row['labels']} labeled images"
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


def _pretrainings(variants):
    """A table of the pre-trainings, where several variants have one."""
    rows = {name: variant["pretrain"] for name, variant in variants.items() if variant.get("pretrain")}
    if len(rows) < 2:
        return ""
    keys = [key for key in _PRETRAINED if any(row.get(key) is not None for row in rows.values())]
    heads = "".join(f"<th>{_PRETRAINED[key][0]}</th>" for key in keys)
    body = ""
    for name, row in rows.items():
        cells = "".join(f"<td>{_number(row.get(key), *_PRETRAINED[key][1:])}</td>" for key in keys)
        body += f"<tr><th>{marked_up(name)}</th>{cells}</tr>"
    head = f"<table><thead><tr><th>variant</th>{heads}</tr></thead>"
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


def _seen(variants):
    items = "".join(
        f"<li><b>{marked_up(name)}</b>: {marked_up(variant['seen'])}</li>" for name, variant in variants.items()
    )
    return f"<h2>What each variant has seen</h2><ul>{items}</ul>"
