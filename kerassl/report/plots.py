"""The plots of all pages, as PNG bytes in one palette."""

from __future__ import annotations

import io
import itertools
import math
import statistics
import typing
from collections.abc import Mapping, Sequence

import numpy as np

from kerassl._display import fitting_dpi, plotted
from kerassl.types import COCO_METRICS, METRIC_NAMES, PROTOCOLS

# Okabe and Ito's colors without the yellow, which readers with any color vision can tell apart, and two more.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7c3aed", "#8c564b")
GRAY, INK = "#6b7280", "#1f2937"
PANELS = ("mean_iou", "loc_acc_50", "loc_acc_70", "top1")
_DETECTOR_PANELS = (*COCO_METRICS, "loc_acc_70")
# What pre-training logs beside its loss: title, and the keys that are drawn together.
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


class Plot(typing.NamedTuple):
    """A plot with its heading and what it shows."""

    title: str
    text: str
    png: bytes


def training(lines: Sequence[Mapping], pretrain: Mapping | None) -> list[Plot]:
    """Plot the lines of `metrics.jsonl`: the loss of each stage, and how a pre-training with these figures went."""
    epochs = [line for line in lines if line["kind"] == "epoch"]
    names = {"pretrain": "pre-training loss, nats", "distill": "distillation loss, 1 − cosine"}
    names |= {key: f"loss, {name}" for key, name in PROTOCOLS.items()}
    losses: dict[str, dict] = {}
    for line in (line for line in epochs if "loss" in line):
        # Of a weighted sum, the part that the loss of guessing, or the axis, is of.
        part = next((line[key] for key in ("global_loss", "distillation_loss") if key in line), line["loss"])
        losses.setdefault(line["stage"], {})[line["epoch"]] = part
    stages = {kind: {stage: one for stage, one in losses.items() if stage.split(":")[0] == kind} for kind in names}
    text = "Loss by epoch."
    shown = {
        names[kind]: {stage.partition(":")[2]: one for stage, one in own.items()} for kind, own in stages.items() if own
    }
    for kind, key in (("localizer", "mean_iou"), ("detector", "coco_ap")):
        curves: dict[str, dict] = {}
        for line in epochs:
            stage, _, name = line["stage"].partition(":")
            if stage == kind and f"val_{key}" in line:
                curves.setdefault(name, {})[line["epoch"]] = 100 * line[f"val_{key}"]
        if curves:
            text = "Loss and validation metric by epoch."
            shown[f"validation {METRIC_NAMES[key].name}, {PROTOCOLS[kind]}, %"] = curves
    chance = pretrain and math.log(2 * pretrain["batch_size"] - (2 if pretrain["decoupled"] else 1))
    text += f" Dashed: {chance:.2f}, the loss of guessing." if chance else ""
    found = [Plot("Training", text, _curves(shown, {names["pretrain"]: chance}))] if shown else []
    watched = [line for line in epochs if line["stage"] == "pretrain"]
    monitored = {title: own for title, keys in _MONITORS.items() if (own := _by_epoch(watched, keys))}
    if pretrain and len(watched) > 1 and monitored:
        found.append(Plot("Pre-training monitors", _MONITORED, _curves(monitored, {})))
    return found


def _by_epoch(lines, keys):
    found = {key: {line["epoch"]: line[key] for line in lines if key in line} for key in keys}
    return {key: values for key, values in found.items() if values}


def _curves(shown, chance):
    """Panels by title, each with curves by name: dicts from epoch to value."""
    figure, panels = subplots(len(shown))
    for axes, (title, curves) in zip(panels, shown.items()):
        for color, (name, values) in zip(itertools.cycle(COLORS), curves.items()):
            axes.plot(
                *zip(*sorted(values.items())),
                "o-",
                ms=3 if len(values) > 1 else 9,
                color=color,
                label=plotted(name, 30),
            )
        if chance.get(title):
            axes.axhline(chance[title], color=GRAY, ls="--", lw=1)
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
    variants = [*(variant for variant in summary["variants"] if variant != baseline), baseline]
    keys = _panels(protocol)
    figure, panels = subplots(len(keys), columns=2, size=(5, 3.4))
    for axes, key in zip(panels, keys):
        for color, marker, variant in zip(itertools.cycle(COLORS), itertools.cycle("sD^vPX*h"), variants):
            style = (
                {"color": color, "marker": marker} if variant != baseline else {"color": INK, "marker": "o", "ls": "--"}
            )
            found = {place: _of_seeds(count, variant, key) for place, count in zip(places, counts)}
            found = {place: values for place, values in found.items() if values}
            if found:
                low, high, mean = (list(map(each, found.values())) for each in (min, max, statistics.fmean))
                axes.fill_between(list(found), low, high, color=style["color"], alpha=0.12, lw=0)
                axes.plot(list(found), mean, ms=5, mec="white", mew=0.6, lw=2, label=plotted(variant, 30), **style)
        axes.set_xscale("log")
        axes.set_xticks(places, ["all" if each is None else f"{each:,}" for each in labels])
        axes.set_xticks([], minor=True)
        axes.set_xlabel("labeled images")
        axes.set_title(f"{METRIC_NAMES[key].name} (%)", fontsize=11)
        axes.grid(axis="y", color="#e5e7eb", lw=0.8)
    _legend(figure, panels[0])
    return png(figure)


def _panels(protocol):
    return _DETECTOR_PANELS if protocol == "detector" else PANELS


def differences(summary: Mapping, protocol: str) -> bytes:
    """Plot the differences of the variants from the baseline, with intervals, at the largest number of labels."""
    baseline, found = summary["baseline"], summary["protocols"][protocol]["counts"][-1]["differences"]
    measures = {each["variant"]: each["measures"] for each in found if each["other"] == baseline and each["measures"]}
    keys = [key for key in _panels(protocol) if any(key in each for each in measures.values())]
    figure, panels = subplots(len(keys), columns=2, size=(5, 1.1 + 0.45 * len(measures)))
    for column, (axes, key) in enumerate(zip(panels, keys)):
        for row, each in enumerate(measures.values()):
            if key in each:
                value, low, high = (100 * each[key][part] for part in ("value", "low", "high"))
                color = COLORS[0] if low > 0 else COLORS[1] if high < 0 else GRAY
                axes.errorbar(value, row, xerr=[[value - low], [high - value]], fmt="o", color=color, capsize=4, lw=2)
                axes.annotate(f"{value:+.1f}", (value, row), (0, 6), textcoords="offset points", ha="center")
        axes.axvline(0, color=INK, lw=1, ls="--")
        axes.set_yticks(range(len(measures)), [plotted(variant, 30) for variant in measures] if column % 2 == 0 else [])
        axes.set_ylim(len(measures) - 0.4, -0.7)
        axes.set_title(f"{METRIC_NAMES[key].name} − {plotted(baseline, 20)}'s (points)", fontsize=11)
    return png(figure)


def _of_seeds(count, variant, key):
    figures = count["variants"].get(variant, {"figures": {}})["figures"]
    return [100 * value for value in figures.get(key, {"by_seed": []})["by_seed"] if value is not None]


def invariance(networks: Mapping[str, Mapping]) -> bytes:
    """Plot the `invariance` of each network to each operation."""
    names = list(next(iter(networks.values()))["invariance"])
    figure, [axes] = subplots(1, size=(10, 3.4))
    width = 0.8 / len(networks)
    for number, (color, (name, one)) in enumerate(zip(itertools.cycle(COLORS), networks.items())):
        values = [np.nan if one["invariance"][each] is None else one["invariance"][each] for each in names]
        left = np.arange(len(names)) - 0.4 + width * (number + 0.5)
        bars = axes.bar(left, values, 0.92 * width, color=color, label=plotted(name, 30))
        if len(networks) <= 3:
            axes.bar_label(bars, fmt="%.2f", fontsize=8, color=GRAY, padding=1)
    axes.axhline(1, color=GRAY, ls="--", lw=0.8)
    axes.axhline(0, color=GRAY, lw=0.8)
    axes.set_xticks(range(len(names)), names)
    axes.set_ylim(top=1.1)
    _legend(figure, axes)
    return png(figure)


def spectra(networks: Mapping[str, Mapping], layers: Sequence[str]) -> bytes:
    """Plot each network's share of the variance by direction, a panel for each layer."""
    figure, panels = subplots(len(layers), size=(3.6, 3.4))
    for axes, layer in zip(panels, layers):
        for color, (name, one) in zip(itertools.cycle(COLORS), networks.items()):
            shares = np.array(one["layers"][layer]["spectrum"])
            shares = shares[shares > 1e-9]
            axes.loglog(np.arange(1, len(shares) + 1), shares, color=color, lw=1, label=plotted(name, 30))
            if one["layers"][layer]["spectrum_ranks"]:
                first, last = one["layers"][layer]["spectrum_ranks"]
                ranks = np.arange(first, min(last, len(shares)) + 1)
                axes.loglog(ranks, shares[ranks - 1], color=color, lw=3, alpha=0.5)
        axes.set_title(layer, fontsize=11)
        axes.set_xlabel("direction, by rank")
    panels[0].set_ylabel("share of the variance")
    _legend(figure, panels[0])
    return png(figure)


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
    """Return a figure and its axes in a grid of `columns`, each of a size in inches."""
    from matplotlib.figure import Figure  # here: it takes a third of a second, and many commands draw nothing

    columns = min(count, columns)
    rows = -(-count // columns)
    figure = Figure((size[0] * columns, size[1] * rows), layout="constrained")
    panels = list(figure.subplots(rows, columns, squeeze=False).flatten())
    for axes in panels[count:]:
        axes.remove()
    for axes in panels[:count]:
        axes.spines[["top", "right"]].set_visible(False)
    return figure, panels[:count]


def _legend(figure, axes):
    handles, names = axes.get_legend_handles_labels()
    if len(names) > 1:
        figure.legend(handles, names, loc="outside upper left", ncols=min(len(names), 4), frameon=False)


def png(figure: typing.Any) -> bytes:
    """Return a figure as a PNG."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=fitting_dpi(figure, 130))
    return file.getvalue()
