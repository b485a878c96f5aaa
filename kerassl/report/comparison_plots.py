"""The curves of a significance summary: what each variant reaches with how many labels."""

import io
import itertools
import statistics

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator

from kerassl._display import plotted
from kerassl.report.comparison_text import labels_text
from kerassl.types import LOCALIZATION_METRICS, METRIC_NAMES, PROTOCOLS

PANELS = LOCALIZATION_METRICS[:4]
# Okabe and Ito's, which stay apart for the colour-blind, darkest first; yellow is too pale for a line on white.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
_MARKERS = "sD^vPX"  # the baseline has the circle
_BASELINE = "#374151"
_GREY = "#6b7280"
_LINE_HEIGHT = 0.075  # of the panel, which one name needs


def pictures(found):
    """Curves for every protocol that has two or more numbers of labels.

    Args:
        found: dict of `summarize`.

    Returns:
        List of (title, what it says, PNG bytes).
    """
    says = (
        "Each line is a variant, through its mean over seeds; the small dots are the single seeds and the band reaches "
        f"from the lowest to the highest. Higher is better. Dashed and grey: {found['baseline']}, the baseline."
    )
    drawn = []
    for protocol, table in found["protocols"].items():
        if len(table["counts"]) > 1:
            partly = " Hollow: some seeds are missing." if _unfinished(found, table) else ""
            all_ = " “all” stands one step to the right, wherever its number." if _has_all(table) else ""
            drawn.append((title(protocol), says + partly + all_, curves(found, protocol)))
    return drawn


def title(protocol):
    """The heading of a protocol's curves."""
    return f"By number of labels: {PROTOCOLS[protocol]}"


def curves(found, protocol):
    """Mean IoU, LocAcc@0.5, LocAcc@0.7 and Top-1 over the number of labels, a line a variant, as PNG bytes.

    Args:
        found: dict of `summarize`.
        protocol: str, one of its protocols.

    Returns:
        bytes.
    """
    counts = found["protocols"][protocol]["counts"]
    places = _places([count["labels"] for count in counts])
    figure = Figure((10.5, 7.3), layout="constrained")
    name = PROTOCOLS[protocol]
    figure.suptitle(f"{name[0].upper()}{name[1:]}: what each variant reaches with how many labels", fontsize=12)
    for axes, key in zip(figure.subplots(2, 2).flatten(), PANELS):
        ends = {}
        for number, variant in enumerate(found["variants"]):
            has = [key in count["variants"].get(variant, {"figures": {}})["figures"] for count in counts]
            if any(has):
                seeds = [
                    [
                        100 * value
                        for value in count["variants"][variant]["figures"][key]["by_seed"]
                        if value is not None
                    ]
                    for count, known in zip(counts, has)
                    if known
                ]
                style = _style(found, number)
                ends[variant] = (*_line(axes, np.array(places)[has], seeds, style, len(found["seeds"])), style["color"])
        _dress(axes, key, counts, places)
        _names(axes, ends)
    return _png(figure)


def _unfinished(found, table):
    return any(
        len(variant["seeds"]) < len(found["seeds"])
        for count in table["counts"]
        for variant in count["variants"].values()
    )


def _has_all(table):
    return table["counts"][-1]["labels"] is None


def _places(labels):
    """Where on the axis each number of labels stands; "all" a step beyond the largest, as its number is not known."""
    known = [each for each in labels if each is not None]
    step = statistics.median(later / earlier for earlier, later in itertools.pairwise(known)) if len(known) > 1 else 2
    return known if len(known) == len(labels) else [*known, known[-1] * step]


def _style(found, number):
    if found["variants"][number] == found["baseline"]:
        return {"color": _BASELINE, "ls": "--", "marker": "o"}
    # The baseline has its own grey and takes no colour from the others.
    number -= number > found["variants"].index(found["baseline"])
    style = {"color": _COLOURS[number % len(_COLOURS)], "marker": _MARKERS[number % len(_MARKERS)]}
    return style | {"ls": "-" if number < len(_COLOURS) else ":"}


def _line(axes, places, seeds, style, all_seeds):
    """Draws a variant, hollow where seeds are missing; its last point."""
    means = [statistics.fmean(values) for values in seeds]
    axes.fill_between(places, list(map(min, seeds)), list(map(max, seeds)), color=style["color"], alpha=0.1, lw=0)
    singles = [(place, value) for place, values in zip(places, seeds) if len(values) > 1 for value in values]
    if singles:
        axes.plot(*zip(*singles), ".", ms=4, alpha=0.5, color=style["color"], mew=0)
    axes.plot(places, means, lw=2, ms=5.5, mec="white", mew=0.6, **style)
    partly = [number for number, values in enumerate(seeds) if len(values) < all_seeds]
    if partly:
        hollow = {"marker": style["marker"], "mec": style["color"], "mfc": "white", "ls": "", "ms": 6, "mew": 1.4}
        axes.plot(places[partly], np.array(means)[partly], **hollow)
    return places[-1], means[-1]


def _dress(axes, key, counts, places):
    axes.set_xscale("log")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xticks(places, [labels_text(count["labels"], short=True) for count in counts])
    axes.set_title(f"{METRIC_NAMES[key].name} (%)", fontsize=11, loc="left", fontweight="bold")
    axes.set_xlabel("labeled images (log scale)", fontsize=9, color=_GREY)
    axes.grid(axis="y", color="#e5e7eb", lw=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _names(axes, ends):
    """Each variant's name at the right, level with the end of its line, moved apart where ends lie close."""
    low, high = axes.get_ylim()
    left, right = np.log(axes.get_xlim())
    order = sorted(ends, key=lambda variant: ends[variant][1])
    heights = _apart([(ends[variant][1] - low) / (high - low) for variant in order])
    for variant, height in zip(order, heights):
        place, value, colour = ends[variant]
        end = ((np.log(place) - left) / (right - left), (value - low) / (high - low))
        axes.plot(
            [end[0], 1.0, 1.03], [end[1], end[1], height], color=colour, lw=0.7, alpha=0.6,
            transform=axes.transAxes, clip_on=False, zorder=1,
        )  # fmt: skip
        axes.text(1.04, height, plotted(variant, 30), color=colour, fontsize=9, va="center", transform=axes.transAxes)
    axes.set_ylim(low, high)


def _apart(heights):
    """Rising heights, moved as little as is needed for a line of text between any two."""
    gaps = _LINE_HEIGHT * np.arange(len(heights))
    # Neighbours that are too close become one group around their middle (pool adjacent violators).
    groups = []
    for value in np.array(heights) - gaps:
        groups.append([value])
        while len(groups) > 1 and np.mean(groups[-2]) > np.mean(groups[-1]):
            groups[-2:] = [groups[-2] + groups[-1]]
    moved = np.concatenate([np.full(len(group), np.mean(group)) for group in groups]) if groups else np.zeros(0)
    return moved + gaps


def _png(figure):
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=130)
    return picture.getvalue()
