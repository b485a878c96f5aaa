"""The plots of all pages, as PNG bytes in one palette."""

from __future__ import annotations

import io
import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from kerassl._display import fitting_dpi, plotted
from kerassl.types import COCO_METRICS, METRIC_NAMES, PROTOCOLS

# Okabe and Ito's colors without the yellow, which readers with any color vision can tell apart, and two more.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7c3aed", "#8c564b")
GRAY, INK = "#6b7280", "#1f2937"
PANELS = dict.fromkeys(PROTOCOLS, ("mean_iou", "loc_acc_50", "loc_acc_70", "top1"))
PANELS["detector"] = (*COCO_METRICS, "loc_acc_70")
# Title of the loss of each stage, and what pre-training logs beside its loss: title, and keys that are drawn together.
_LOSSES = {"pretrain": "pre-training loss, nats", "distill": "distillation loss, 1 − cosine"}
_LOSSES |= {key: f"loss, {name}" for key, name in PROTOCOLS.items()}
_MONITORS = {
    "contrastive accuracy": ("contrast_accuracy",),
    "probes, top-1 accuracy": ("knn_top1", "linear_top1"),
    "dense contrast: accuracy, share matched": ("dense_accuracy", "matched"),
    "effective rank of the embeddings": ("effective_rank",),
    "alignment, uniformity": ("alignment", "uniformity"),
    "pairs per second": ("pairs_per_second",),
}
_MONITORED = (
    "Contrastive accuracy: how often the other view of an image is the most similar one. Effective rank: the number of "
    "directions that the embeddings use. Lower alignment: views of an image are closer. Lower uniformity: images are "
    "spread more evenly."
)


class Plot(NamedTuple):
    """A plot with its heading and what it shows."""

    title: str
    text: str
    png: bytes


def training(lines: Sequence[Mapping], pretrain: Mapping | None) -> list[Plot]:
    """Plot the lines of `metrics.jsonl`: the loss of each stage, and how a pre-training with these figures went."""
    epochs = [line for line in lines if line["kind"] == "epoch"]
    # Of a weighted sum, the part that the loss of guessing, or the axis, is of.
    parts = ("global_loss", "distillation_loss", "loss")
    losses = {title: _by_epoch(epochs, stage, *parts) for stage, title in _LOSSES.items()}
    scores = {}
    for stage, key in (("localizer", "mean_iou"), ("detector", "coco_ap")):
        title = f"validation {METRIC_NAMES[key].name}, {PROTOCOLS[stage]}, %"
        scores[title] = _by_epoch(epochs, stage, f"val_{key}", factor=100)
    chance = pretrain and math.log(2 * pretrain["batch_size"] - (2 if pretrain["decoupled"] else 1))
    text = f"Loss{' and validation metric' if any(scores.values()) else ''} by epoch."
    text += f" Dashed: {chance:.2f}, the loss of guessing." if chance else ""
    found = [("Training", text, losses | scores)]
    if pretrain and sum(line["stage"] == "pretrain" for line in epochs) > 1:
        by_key = {key: _by_epoch(epochs, "pretrain", key).get("") for keys in _MONITORS.values() for key in keys}
        monitors = {title: {key: by_key[key] for key in keys if by_key[key]} for title, keys in _MONITORS.items()}
        found.append(("Pre-training monitors", _MONITORED, monitors))
    return [Plot(title, text, _curves(shown, chance)) for title, text, shown in found if any(shown.values())]


def _by_epoch(epochs, kind, *keys, factor=1):
    """Return, by the name of each stage of a kind (`kind:name`), its values of the first key that a line has."""
    found: dict[str, dict] = {}
    for line in epochs:
        stage, _, name = line["stage"].partition(":")
        key = next((key for key in keys if key in line), None)
        if stage == kind and key is not None:
            found.setdefault(name, {})[line["epoch"]] = factor * line[key]
    return found


def _curves(shown, chance):
    """Draw panels by title, each with curves by name: dicts from epoch to value."""
    shown = {title: curves for title, curves in shown.items() if curves}
    figure, panels = subplots(len(shown))
    for axes, (title, curves) in zip(panels, shown.items()):
        for name, values in curves.items():
            axes.plot(*zip(*sorted(values.items())), "o-", ms=3 if len(values) > 1 else 9, label=plotted(name, 30))
        if chance and title == _LOSSES["pretrain"]:
            axes.axhline(chance, color=GRAY, ls="--", lw=1)
            axes.set_ylim(bottom=0)
        if len(curves) > 1:
            axes.legend(frameon=False, fontsize=8)
        axes.set_title(title, fontsize=11)
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    return png(figure)


def label_curves(summary: Mapping, protocol: str) -> bytes:
    """Plot metrics over the number of labels, a line for each variant of a comparison's summary."""
    counts, baseline = summary["protocols"][protocol]["counts"], summary["baseline"]
    labels = [count["labels"] for count in counts]
    known = [each for each in labels if each is not None]
    # "all", whose number is not known, is one step beyond the largest.
    step = statistics.median(after / before for before, after in itertools.pairwise(known)) if len(known) > 1 else 2
    places = [known[-1] * step if each is None else each for each in labels]
    others = [variant for variant in summary["variants"] if variant != baseline]
    looks = zip(others, itertools.cycle(COLORS), itertools.cycle("sD^vPX*h"))
    styles = {variant: {"color": color, "marker": marker} for variant, color, marker in looks}
    styles[baseline] = {"color": INK, "marker": "o", "ls": "--"}
    figure, panels = subplots(len(PANELS[protocol]), columns=2, size=(5, 3.4))
    for axes, key in zip(panels, PANELS[protocol]):
        for variant, style in styles.items():
            found = {place: own for place, count in zip(places, counts) if (own := _of_seeds(count, variant, key))}
            low, high, mean = (list(map(each, found.values())) for each in (min, max, statistics.fmean))
            if found:
                axes.fill_between(list(found), low, high, color=style["color"], alpha=0.12, lw=0)
                axes.plot(list(found), mean, ms=5, mec="white", mew=0.6, lw=2, label=plotted(variant, 30), **style)
        axes.set(xscale="log", xlabel="labeled images")
        axes.set_xticks(places, ["all" if each is None else f"{each:,}" for each in labels])
        axes.set_xticks([], minor=True)
        axes.set_title(f"{METRIC_NAMES[key].name} (%)", fontsize=11)
        axes.grid(axis="y", color="#e5e7eb", lw=0.8)
    return png(figure, panels[0])


def _of_seeds(count, variant, key):
    figures = count["variants"].get(variant, {"figures": {}})["figures"]
    return [100 * value for value in figures.get(key, {"by_seed": []})["by_seed"] if value is not None]


def differences(summary: Mapping, protocol: str) -> bytes:
    """Plot the differences of the variants from the baseline, with intervals, at the largest number of labels."""
    baseline, found = summary["baseline"], summary["protocols"][protocol]["counts"][-1]["differences"]
    measures = {each["variant"]: each["measures"] for each in found if each["other"] == baseline and each["measures"]}
    keys = [key for key in PANELS[protocol] if any(key in each for each in measures.values())]
    figure, panels = subplots(len(keys), columns=2, size=(5, 1.1 + 0.45 * len(measures)))
    for column, (axes, key) in enumerate(zip(panels, keys)):
        for row, each in enumerate(measures.values()):
            if key in each:
                value, low, high = (each[key][part] for part in ("value", "low", "high"))
                draw_interval(axes, row, (value, low, high), COLORS[0] if low > 0 else COLORS[1] if high < 0 else GRAY)
        axes.axvline(0, color=INK, lw=1, ls="--")
        axes.set_yticks(range(len(measures)), [plotted(variant, 30) for variant in measures] if column % 2 == 0 else [])
        axes.set_ylim(len(measures) - 0.4, -0.7)
        axes.set_title(f"{METRIC_NAMES[key].name} − {plotted(baseline, 20)}'s (points)", fontsize=11)
    return png(figure)


def draw_interval(axes: Any, row: int, ends: Sequence[float], color: str, rise: int = 6, **text: Any) -> None:
    """Draw a difference of shares with its interval, (value, low, high), in points; the number is `rise` above it."""
    value, low, high = (100 * each for each in ends)
    axes.errorbar(value, row, xerr=[[value - low], [high - value]], fmt="o", color=color, capsize=4, lw=2)
    axes.annotate(f"{value:+.1f}", (value, row), (0, rise), textcoords="offset points", ha="center", **text)


def invariance(networks: Mapping[str, Mapping]) -> bytes:
    """Plot the `invariance` of each network to each operation."""
    names = list(next(iter(networks.values()))["invariance"])
    figure, [axes] = subplots(1, size=(10, 3.4))
    width = 0.8 / len(networks)
    for number, (name, one) in enumerate(networks.items()):
        values = np.array([one["invariance"][each] for each in names], float)
        left = np.arange(len(names)) - 0.4 + width * (number + 0.5)
        bars = axes.bar(left, values, 0.92 * width, label=plotted(name, 30))
        if len(networks) <= 3:
            axes.bar_label(bars, fmt="%.2f", fontsize=8, color=GRAY, padding=1)
    axes.axhline(1, color=GRAY, ls="--", lw=0.8)
    axes.axhline(0, color=GRAY, lw=0.8)
    axes.set_xticks(range(len(names)), names)
    axes.set_ylim(top=1.1)
    return png(figure, axes)


def spectra(networks: Mapping[str, Mapping], layers: Sequence[str]) -> bytes:
    """Plot each network's share of the variance by direction, a panel for each layer."""
    figure, panels = subplots(len(layers), size=(3.6, 3.4))
    for axes, layer in zip(panels, layers):
        for name, one in networks.items():
            shares = np.array(one["layers"][layer]["spectrum"])
            shares = shares[shares > 1e-9]
            (line,) = axes.loglog(np.arange(1, len(shares) + 1), shares, lw=1, label=plotted(name, 30))
            if one["layers"][layer]["spectrum_ranks"]:
                first, last = one["layers"][layer]["spectrum_ranks"]
                ranks = np.arange(first, min(last, len(shares)) + 1)
                axes.loglog(ranks, shares[ranks - 1], color=line.get_color(), lw=3, alpha=0.5)
        axes.set_title(layer, fontsize=11)
        axes.set_xlabel("direction, by rank")
    panels[0].set_ylabel("share of the variance")
    return png(figure, panels[0])


def cka(names: Sequence[str], matrix: Sequence[Sequence[float]]) -> bytes:
    """Plot a matrix of similarities in [0, 1]."""
    names, values = [plotted(name, 30) for name in names], np.array(matrix, float)
    side = 1.6 + 0.62 * len(names)
    figure, [axes] = subplots(1, size=(side, side))
    axes.imshow(values, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(length=0, labelsize=9)
    for (row, column), value in np.ndenumerate(values):
        text = "–" if np.isnan(value) else f"{value:.2f}".replace("-0.00", "0.00")
        axes.text(column, row, text, ha="center", va="center", fontsize=8, color="white" if value > 0.6 else INK)
    axes.spines[:].set_visible(False)
    return png(figure)


def subplots(count: int, columns: int = 3, size: tuple[float, float] = (4.2, 3.2)) -> tuple:
    """Return a figure and its axes in a grid of `columns`, each of a size in inches, with the colors of all plots."""
    from matplotlib.figure import Figure  # here: it takes a third of a second, and many commands draw nothing

    columns = min(count, columns)
    rows = -(-count // columns)
    figure = Figure((size[0] * columns, size[1] * rows), layout="constrained")
    panels = list(figure.subplots(rows, columns, squeeze=False).flatten())
    for axes in panels[count:]:
        axes.remove()
    for axes in panels[:count]:
        axes.set_prop_cycle(color=COLORS)
        axes.spines[["top", "right"]].set_visible(False)
    return figure, panels[:count]


def png(figure: Any, named: Any = None) -> bytes:
    """Return a figure as a PNG, with a legend of what is in the axes `named` if that is several things."""
    handles, names = ([], []) if named is None else named.get_legend_handles_labels()
    if len(names) > 1:
        figure.legend(handles, names, loc="outside upper left", ncols=min(len(names), 4), frameon=False)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=fitting_dpi(figure, 130))
    return file.getvalue()
