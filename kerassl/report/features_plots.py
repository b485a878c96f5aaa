"""The pictures of `kerassl features`."""

import io

import numpy as np
from matplotlib.figure import Figure

from kerassl._display import plotted
from kerassl._plots import fitting_dpi

_COLOURS = ("#2563eb", "#d97706", "#059669", "#db2777", "#7c3aed", "#0891b2", "#65a30d", "#b91c1c")
_GREY = "#6b7280"


def invariance(figures):
    """Bars of the invariance to each operation, arm by arm, as PNG bytes."""
    arms = figures["arms"]
    names = list(next(iter(arms.values()))["invariance"])
    figure = Figure((10, 3.6), layout="constrained")
    axes = figure.subplots()
    place, width = np.arange(len(names)), 0.8 / len(arms)
    for number, (name, arm) in enumerate(arms.items()):
        values = [np.nan if arm["invariance"][each] is None else arm["invariance"][each] for each in names]
        left = place - 0.4 + width * (number + 0.5)
        bars = axes.bar(left, values, 0.92 * width, color=_COLOURS[number % len(_COLOURS)], label=plotted(name, 30))
        if len(arms) <= 3:
            axes.bar_label(bars, fmt="%.2f", fontsize=8, color=_GREY, padding=1)
    axes.axhline(1, color=_GREY, ls="--", lw=0.8)
    axes.axhline(0, color=_GREY, lw=0.8)
    axes.set_xticks(place, names)
    axes.set_ylabel("invariance")
    axes.set_ylim(top=1.1)
    _legend(figure, axes, len(arms))
    return _png(figure)


def spectra(figures):
    """Variance by direction, a panel a level, as PNG bytes."""
    layers = figures["layers"]
    figure = Figure((3.6 * len(layers) + 0.4, 3.6), layout="constrained")
    panels = figure.subplots(1, len(layers), sharey=True, squeeze=False)[0]
    for axes, layer in zip(panels, layers):
        for number, (name, arm) in enumerate(figures["arms"].items()):
            level, colour = arm["layers"][layer], _COLOURS[number % len(_COLOURS)]
            shares = np.array(level["spectrum"])
            shares = shares[shares > 1e-9]
            axes.loglog(np.arange(1, len(shares) + 1), shares, color=colour, lw=1, label=plotted(name, 30))
            if level["spectrum_ranks"]:
                first, last = level["spectrum_ranks"]
                ranks = np.arange(first, min(last, len(shares)) + 1)
                axes.loglog(ranks, shares[ranks - 1], color=colour, lw=3, alpha=0.5)
        axes.set_title(layer, fontsize=10)
        axes.set_xlabel("direction, by rank")
    panels[0].set_ylabel("share of the variance")
    _legend(figure, panels[0], len(figures["arms"]))
    return _png(figure)


def cka(figures):
    """The debiased matrix of layers by layers, as PNG bytes."""
    matrix = np.array(figures["cka"]["debiased"], float)
    names = [f"{plotted(arm, 30)} {layer}" for arm, layer in figures["cka"]["names"]]
    side = 1.6 + 0.62 * len(names)
    figure = Figure((side + 1.2, side), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(matrix, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set_xticks(np.arange(1, len(names)) - 0.5, minor=True)
    axes.set_yticks(np.arange(1, len(names)) - 0.5, minor=True)
    axes.grid(which="minor", color="white", lw=1)
    axes.tick_params(which="both", length=0, labelsize=9)
    for (row, column), value in np.ndenumerate(matrix):
        text = "–" if np.isnan(value) else f"{value:.2f}".replace("-0.00", "0.00")
        axes.text(column, row, text, ha="center", va="center", fontsize=8, color="white" if value > 0.6 else "#1f2937")
    figure.colorbar(image, ax=axes, shrink=0.6, label="CKA")
    axes.spines[:].set_visible(False)
    return _png(figure)


def _legend(figure, axes, arms):
    if arms > 1:
        figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=min(arms, 4), frameon=False)


def _png(figure):
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=fitting_dpi(figure, 130))
    return picture.getvalue()
