"""The figures of `explain.compare_arms` as a page and as a table in plain letters."""

import numpy as np

from kerassl._display import marked_up, printable
from kerassl.report import render as report

# The figures of the table: key, heading, what it means.
MEASURES = {
    "energy": ("energy", "share of the heat that lies in the objects"),
    "coverage": ("coverage", "share of the objects that is hot (from the arm's threshold on)"),
    "pointing": ("pointing game", "how often the hottest place lies within 15 pixels of an object"),
    "pointing_difficult": ("pointing, difficult", "the same where the objects are small and others lie about"),
    "box_acc": ("BoxAcc", "how often the box around the largest hot piece overlaps an object by 0.5 or more"),
    "max_box_acc": ("MaxBoxAcc", "the same at the threshold that is best for these images"),
    "max_box_acc_v2": ("MaxBoxAccV2", "any hot piece, mean over overlaps of 0.3, 0.5 and 0.7"),
    "pxap": ("PxAP", "average precision of pixels, where there are masks"),
    "insertion": ("insertion", "mean probability of the class as the hottest pixels come in; higher is better"),
    "insertion_gain": ("insertion gain", "insertion, minus that with a centred Gaussian as heatmap"),
    "deletion": ("deletion", "mean probability of the class as the hottest pixels go; lower is better"),
    "deletion_gain": ("deletion gain", "deletion, minus that with a centred Gaussian; below 0 is better"),
}


def table_text(table):
    """The table in plain letters, a line a measure: value and interval in %."""
    columns = _columns(table)
    names = list(map(printable, columns))
    widths = [max(26, len(name) + 2) for name in names]
    lines = [" " * 20 + "".join(f"{name:>{width}}" for name, width in zip(names, widths))]
    for key in _measures(table):
        cells = [_cell(row.get(key)) for row, _ in columns.values()]
        lines.append(f"{MEASURES[key][0]:20}" + "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths)))
    return "\n".join(lines)


def _measures(table):
    return [key for key in MEASURES if any(key in row for row in table["arms"].values())]


def _columns(table):
    """For each column its figures by measure, and whether they are differences."""
    first = next(iter(table["arms"]))
    columns = {name: (row, False) for name, row in table["arms"].items()}
    return columns | {f"{name} minus {first}": (row, True) for name, row in table["differences"].items()}


def _cell(interval):
    if interval is None or np.isnan(interval[0]):
        return "–"
    value, low, high = (100 * each for each in interval)
    return f"{value:.1f} ({low:.1f} to {high:.1f})"


def write_page(folder, figures):
    parts = [
        "<h1>Where the arms look</h1>",
        f"<p>{figures['images']} images, each asked about the class of its largest object; "
        f"{marked_up(figures['method'])} at {figures['level']}, {figures['image_size']} pixels. Level and thresholds "
        f"were chosen on {figures['chosen_on']} other images. In %, with the interval that holds 95 % of 1,000 "
        "draws of the images.</p>",
        _table({name: column for name, column in _columns(figures).items() if not column[1]}, _measures(figures)),
        "<h2>Differences, image by image</h2><p>Bold: the interval does not hold 0. It tells what these images show of "
        "these networks; another training of the same arm may differ.</p>",
        _table({name: column for name, column in _columns(figures).items() if column[1]}, _measures(figures)),
        "<h2>Is it what the networks learned?</h2><p>How alike (SSIM) the heatmaps of a few images stay when the "
        "weights are shuffled from the outputs down to the layer that is named. What was learned falls apart.</p>",
        _randomised(figures["randomised"]),
        report.picture("Heatmaps", "Green: the objects of the class.", (folder / "heatmaps.png").read_bytes()),
        f"<h2>Machine</h2><p>{marked_up(figures['machine'])}; {figures['minutes']:.1f} minutes</p>",
    ]
    (folder / "report.html").write_text(report.page("Where the arms look", parts), encoding="utf-8")


def _table(columns, keys):
    """A measure a row, with what it means below its name."""
    heads = "".join(f"<th>{marked_up(name)}</th>" for name in columns)
    body = []
    for key in keys:
        title, says = (marked_up(text) for text in MEASURES[key])
        cells = []
        for row, difference in columns.values():
            value, _, interval = _cell(row.get(key)).partition(" ")
            sure = difference and interval and (row[key][1] > 0 or row[key][2] < 0)
            value = f"<b>{value}</b>" if sure else value
            cells.append(f"<td style='white-space:nowrap'>{value}<br><small>{interval.strip('()')}</small></td>")
        body.append(f"<tr><th>{title}<br><small style='font-weight:400'>{says}</small></th>{''.join(cells)}</tr>")
    return f"<table><thead><tr><th></th>{heads}</tr></thead><tbody>{''.join(body)}</tbody></table>"


def _randomised(checks):
    rows = "".join(
        f"<tr><th>{marked_up(name)}</th>"
        + "".join(f"<td>{alike:.2f}<br><small>{marked_up(layer)}</small></td>" for layer, alike in steps)
        + "</tr>"
        for name, steps in checks.items()
    )
    return f"<table><tbody>{rows}</tbody></table>"
