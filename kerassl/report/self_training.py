"""Gain of a detector from unlabeled images: a sentence, a plot and a table.

A `choice` is what `kerassl.self_train` leaves in `choice.json`; its `gain` is that of a student over a detector that
learned from the labels alone.
"""

from __future__ import annotations

from collections.abc import Mapping

from kerassl.report import plots
from kerassl.report.render import Cell, Table, headings, interval, percent
from kerassl.types import COCO_METRICS, METRIC_NAMES

_AP = METRIC_NAMES["coco_ap"].name
_BASELINES = {
    "control": "a detector that learned from the labels alone, for as many images and pixels as teacher, labeling and "
    "student together (compute-matched)",
    "teacher": "the teacher, which learned from the labels alone, for fewer images than the student; --control adds a "
    "detector that learns as long",
}


def gain_sentence(gain: Mapping, unlabeled: int) -> str:
    """Return whether learning from so many unlabeled images helped, and by how much."""
    baseline, student = gain["baseline"], gain["student"]
    value, low, high = gain["differences"][student]["coco_ap"]
    before, after = (percent(gain["values"][name]["coco_ap"][0]) for name in (baseline, student))
    change = f"does not significantly change {_AP} ({before} % to {after} %)"
    if low > 0 or high < 0:
        change = f"{'raises' if low > 0 else 'lowers'} {_AP} from {before} % to {after} %"
    form = "+.1f" if min(abs(low), abs(high)) >= 5e-4 else "+.2f"  # an end that is not 0 is not printed as 0
    return (
        f"Learning from {unlabeled:,} unlabeled images {change} on {gain['images']:,} "
        f"{'test' if gain['unseen'] else 'validation'} images: {percent(value, form)} points "
        f"(95 % interval {interval((low, high), form)}; one seed)."
    )


def gain_details(gain: Mapping) -> str:
    """Return which detectors are compared, and on what."""
    text = f"Before: the {gain['baseline']}, {_BASELINES[gain['baseline']]}. After: the {gain['student']}."
    return text if gain["unseen"] else f"{text} Epochs were chosen on the same images: new ones will score lower."


def gain_plot(gain: Mapping) -> bytes:
    """Plot the average precision of each detector, and the differences of the student from the baseline."""
    baseline, student = gain["baseline"], gain["student"]
    figure, (left, right) = plots.subplots(2, size=(5, 2.6))
    names = [name for name in gain["values"] if name not in (baseline, student)] + [baseline, student]
    shown = {baseline: (f"before: {baseline}", plots.COLORS[1]), student: (f"after: {student}", plots.COLORS[0])}
    labels, colors = zip(*(shown.get(name, (name, plots.GRAY)) for name in names))
    for row, (name, color) in enumerate(zip(names, colors)):
        value, low, high = (100 * each for each in gain["values"][name]["coco_ap"])
        left.barh(row, value, 0.62, color=color, xerr=[[value - low], [high - value]], ecolor=plots.INK, capsize=3)
        left.text(high, row, f"  {value:.1f}", va="center", color=plots.INK, weight="bold")
    left.set_yticks(range(len(names)), labels)
    left.margins(x=0.2)
    left.set_title(f"{_AP} (%)", fontsize=11)
    for row, key in enumerate(reversed(COCO_METRICS)):
        plots.draw_interval(right, row, gain["differences"][student][key], plots.COLORS[0], rise=7, weight="bold")
    right.axvline(0, color=plots.INK, lw=1, ls="--")
    right.set_yticks(range(len(COCO_METRICS)), [METRIC_NAMES[key].name for key in reversed(COCO_METRICS)])
    right.margins(y=0.3)
    right.set_title("after − before (points)", fontsize=11)
    return plots.png(figure)


def choice_table(choice: Mapping) -> Table:
    """Return average precision on the validation images, with differences from the recommended detector."""
    rows = []
    for name, values in choice["values"].items():
        notes = {
            key: f"{percent(value, '+.1f')} ({interval(ends, '+.1f')})"
            for key, (value, *ends) in choice["differences"].get(name, {}).items()
        }
        cells = [Cell(percent(values[key][0]), notes.get(key, ""), strong=not notes) for key in COCO_METRICS]
        rows.append([Cell(name, f"{choice['image_sizes'][name]} px"), *cells])
    return Table(headings(METRIC_NAMES[key] for key in COCO_METRICS), rows)
