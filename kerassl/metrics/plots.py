"""Plots of detections: precision against recall, and the kinds of errors."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import matplotlib.figure
import matplotlib.ticker
import numpy as np

from kerassl._display import fitting_dpi, plotted
from kerassl._errors import UserError
from kerassl._io import files as _files
from kerassl.datasets.record import Record
from kerassl.metrics.checks import checked
from kerassl.metrics.voc import average_precision, match_detections
from kerassl.types import ERROR_KINDS, DetectionErrors, Detections

_BLUE, _PALE, _INK, _GRAY, _ORANGE = "#2f6690", "#a9c4d8", "#33383d", "#8a9097", "#c8553d"
_LABELS = {
    "class": "class\ngood box, wrong class",
    "box": "box\nright class, poor box",
    "both": "both\npoor box, wrong class",
    "duplicate": "duplicate\nobject found before",
    "background": "background\nnothing there",
    "missed": "missed\nobject not found",
}


def precision_recall(
    predictions: Mapping[str, Detections],
    records: Sequence[Record],
    classes: Sequence[str],
    out: str | os.PathLike,
    *,
    shown_score: float | None = 0.5,
    overwrite: bool = False,
) -> None:
    """Plot precision against recall at IoU 0.5, a panel per class, with its average precision by both rules of VOC.

    The thin line is the precision after each detection, the area that under the precision made falling, which is the
    AP of VOC 2010; the dot is where scores fall below `shown_score`. Classes without objects have no panel.

    Args:
        predictions: as for `voc_ap`.
        records: list of `datasets.Record`, the ground truth.
        classes: sequence of str, the class names.
        out: str or `pathlib.Path` of the plot; its suffix gives the format, as .png.
        shown_score: float or None. The score of the dot; None draws none.
        overwrite: bool. Replace an existing file.

    Example:
        >>> kerassl.metrics.plots.precision_recall(predictions, records, kerassl.datasets.VOC_CLASSES, "curves.png")
    """
    matches = match_detections(checked(predictions, records, classes), len(classes), 0.5)
    voc07, voc10 = (average_precision(matches, classes, protocol) for protocol in ("voc07", "voc10"))
    drawn = [(name, one) for name, one in zip(classes, matches) if one.count]
    if not drawn:
        raise UserError(f"none of {len(records)} images has an object to be found; there is no curve to draw")
    single = len(drawn) == 1
    columns = 1 if single else min(len(drawn), 5 if len(drawn) <= 30 else 8)
    rows = -(-len(drawn) // columns)
    width, height = (5.6, 4.8) if single else (2.5, 2.35)
    figure = matplotlib.figure.Figure((max(width * columns, 5.6), height * rows + 0.9), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for axes in panels.flat[len(drawn) :]:
        axes.set_axis_off()
    for place, (axes, (name, one)) in enumerate(zip(panels.flat, drawn)):
        figures = f"AP07 {_percent(voc07.per_class[name])}   AP10 {_percent(voc10.per_class[name])}"
        _curve(axes, one, shown_score)
        title = plotted(name, 50 if single else 24)
        axes.set_title(f"{title}\n", fontsize=11 if single else 9.5, color=_INK, loc="left", fontweight="bold")
        size = 9 if single else 7.5
        axes.text(0, 1.03, f"{figures}   {one.count:,} objects", transform=axes.transAxes, fontsize=size, color=_INK)
        last = place + columns >= len(drawn)
        axes.tick_params(labelsize=7.5, colors=_INK, labelbottom=last)
    dot = f"; the dot: score {shown_score:g}" if shown_score is not None else ""
    mean = "" if single else f"mean AP07 {_percent(voc07.ap)}, AP10 {_percent(voc10.ap)} of {len(drawn)} classes; "
    figure.suptitle(
        f"Precision against recall at IoU 0.5{dot}\n{mean}AP07: VOC 2007, 11 points; AP10: VOC 2010, area",
        fontsize=10, color=_INK,
    )  # fmt: skip
    figure.supxlabel("recall", fontsize=9, color=_INK)
    figure.supylabel("precision", fontsize=9, color=_INK)
    with _files.whole(out, overwrite=overwrite) as part:
        figure.savefig(part, dpi=fitting_dpi(figure, 130))


def _curve(axes, one, shown_score):
    right, seen = np.cumsum(one.right), np.arange(1, len(one.right) + 1)
    recall, precision = right / one.count, right / seen
    falling = np.maximum.accumulate(precision[::-1])[::-1]
    if len(seen):
        # From recall 0 on, and down where no detection reaches.
        axes.fill_between(
            [0, *recall, recall[-1]], [falling[0], *falling, 0], step="pre", color=_PALE, alpha=0.6, linewidth=0
        )
        axes.plot(recall, precision, color=_BLUE, linewidth=1.1)
        if len(seen) == 1:
            axes.plot(recall, precision, ".", color=_BLUE)
    shown = 0 if shown_score is None else int(np.sum(one.scores >= shown_score))
    if shown:
        axes.plot(recall[shown - 1], precision[shown - 1], "o", color=_ORANGE, markersize=4.5, clip_on=False, zorder=3)
    if not right.any():
        text = "nothing correct" if len(seen) else "nothing detected"
        axes.text(0.5, 0.5, text, ha="center", va="center", fontsize=8, color=_GRAY)
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    for ticks in (axes.set_xticks, axes.set_yticks):
        ticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.grid(color=_INK, alpha=0.12, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def error_bars(errors: DetectionErrors, out: str | os.PathLike, *, overwrite: bool = False) -> None:
    """Plot how many errors of each kind there are, and how much AP50 would rise if they were fixed.

    Args:
        errors: `DetectionErrors`, as `error_kinds` returns them.
        out: str or `pathlib.Path` of the plot; its suffix gives the format, as .png.
        overwrite: bool. Replace an existing file.

    Example:
        >>> kinds = kerassl.metrics.error_kinds(predictions, records, classes, score_threshold=0.3)
        >>> kerassl.metrics.plots.error_bars(kinds, "errors.png")
    """
    counts = np.array([errors.counts[kind] for kind in ERROR_KINDS], float)
    gains = 100 * np.array([errors.ap50_gain[kind] for kind in ERROR_KINDS], float)
    figure = matplotlib.figure.Figure((9.5, 3.9), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    _bars(left, counts, [f"{count:,.0f}" for count in counts], _PALE)
    logarithmic = counts.max() > 50 * max(1.0, np.median(counts))
    if logarithmic:
        left.set_xscale("symlog", linthresh=10)
        left.xaxis.set_major_locator(matplotlib.ticker.SymmetricalLogLocator(base=10, linthresh=10))
        left.set_xlim(0, 6 * counts.max())
    left.set_yticks(range(len(ERROR_KINDS)), [_LABELS[kind] for kind in ERROR_KINDS])
    left.invert_yaxis()
    left.set_title("errors, and missed objects" + (" (logarithmic)" if logarithmic else ""))
    _bars(right, gains, ["–" if np.isnan(gain) else f"+{gain:.1f}" for gain in gains], _BLUE)
    right.set_title("points of AP50 (VOC10) to gain if fixed alone")
    figure.suptitle(
        f"{errors.right:,} of {errors.detections:,} detections are correct, of {errors.objects:,} objects; "
        f"AP50 (VOC10) {_percent(errors.ap50)}",
        fontsize=11, color=_INK,
    )  # fmt: skip
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8.5, colors=_INK, length=0)
        axes.title.set(fontsize=9.5, color=_INK)
    with _files.whole(out, overwrite=overwrite) as part:
        figure.savefig(part, dpi=fitting_dpi(figure, 130))


def _bars(axes, values, texts, color):
    values = np.nan_to_num(values)
    bars = axes.barh(range(len(values)), values, 0.62, color=color)
    axes.bar_label(bars, texts, padding=4, fontsize=9, color=_INK)
    axes.set_xlim(0, 1.18 * max(values.max(), 1e-9) if values.any() else 1)


def _percent(value):
    return "–" if np.isnan(value) else f"{100 * value:.1f}"
