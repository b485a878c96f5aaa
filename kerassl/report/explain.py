"""The page and the table of `explain`: class activation maps of several models, compared."""

from __future__ import annotations

import math
from collections.abc import Mapping

from kerassl.report.render import Cell, Table, interval, number, percent, render
from kerassl.types import LEVELS

MEASURES = {
    "energy": ("energy", "share of the saliency inside the objects"),
    "coverage": ("coverage", "share of the objects that is above the model's threshold"),
    "pointing": ("pointing game", "how often the most salient pixel is within 15 pixels of an object"),
    "pointing_difficult": ("pointing, difficult", "the same for small objects beside objects of other classes"),
    "box_acc": ("BoxAcc", "how often the box of the largest salient region has an IoU of 0.5 with an object"),
    "max_box_acc": ("MaxBoxAcc", "the same at the best threshold for these images"),
    "max_box_acc_v2": ("MaxBoxAccV2", "boxes of any salient region, mean over IoU 0.3, 0.5 and 0.7"),
    "pxap": ("PxAP", "average precision of pixels, where there are masks"),
    "insertion": ("insertion", "mean probability of the class as salient pixels are added; higher is better"),
    "insertion_gain": ("insertion gain", "insertion minus that of a centered Gaussian"),
    "deletion": ("deletion", "mean probability of the class as salient pixels are removed; lower is better"),
    "deletion_gain": ("deletion gain", "deletion minus that of a centered Gaussian; below 0 is better"),
}
"""Heading and description of each score."""
_METHODS = {"gradcam": "Grad-CAM", "gradcam++": "Grad-CAM++", "layercam": "Layer-CAM", "scorecam": "Score-CAM"}


def scores_table(table: Mapping) -> Table:
    """Return the scores of models and baselines in %, and the differences from the first model in points.

    Args:
        table: that of `explain.compare_models`. Significant differences are strong.
    """
    first = next(iter(table["models"]))
    columns = {name: (row, False) for name, row in table["models"].items()}
    columns |= {f"{name} − {first}": (row, True) for name, row in table["differences"].items()}
    keys = [key for key in MEASURES if any(key in row for row, _ in columns.values())]
    rows = [[Cell(*MEASURES[key]), *(_cell(row.get(key), sign) for row, sign in columns.values())] for key in keys]
    return Table(dict.fromkeys(["", *columns], ""), rows)


def _cell(found, difference):
    if found is None or math.isnan(found[0]):
        return Cell("–")
    value, low, high = found
    strong = difference and (low > 0 or high < 0)
    return Cell(percent(value, "+.1f" if difference else ".1f"), interval((low, high)), strong)


def explain_page(figures: Mapping, heatmaps: bytes) -> str:
    """Return the page of what `table.json` holds and a PNG of images with their maps, as HTML."""
    shown = {"figures": figures, "method": _METHODS[figures["method"]], "scores": scores_table(figures)}
    shown["stride"] = LEVELS.get(figures["level"])
    shown["randomized"] = {
        name: ", ".join(f"{number(similarity)} at {layer}" for layer, similarity in steps)
        for name, steps in figures["randomized"].items()
    }
    return render("explain", title="Class activation maps compared", heatmaps=heatmaps, **shown)
