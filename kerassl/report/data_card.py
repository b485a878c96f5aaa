"""The card of a data set, as text and as an image."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kerassl._display import plotted, printable
from kerassl._io import files as _files
from kerassl.datasets.card import ImageCard, LabelCard

_QUANTILES = {"min": 0, "5 %": 5, "25 %": 25, "50 %": 50, "75 %": 75, "95 %": 95, "max": 100}
_BLUE, _PALE, _INK = "#0072b2", "#9ecae1", "#374151"
_CLASSES = 40  # in the plot


def card_text(images: ImageCard, labels: LabelCard | None = None) -> str:
    """Return the card of a data set as lines of text.

    Args:
        images: `ImageCard`.
        labels: `LabelCard` or None.
    """
    head = f"{'':16}" + "".join(f"{name:>7}" for name in _QUANTILES)
    lines = [f"images          {images.count:,} ({images.bytes / 2**20:,.1f} MiB)"]
    if len(images.heights):
        short = np.minimum(images.heights, images.widths)
        sides = {"height, px": images.heights, "width, px": images.widths, "short side, px": short}
        lines += [head, *(f"{name:16}" + _quantiles(values, ",.0f") for name, values in sides.items())]
        lines.append(
            "formats         " + ", ".join(f"{name} {count:,}" for name, count in images.formats.most_common())
        )
    extra = _duplicates(images)
    lines += [
        f"EXIF-rotated    {images.turned:,}",
        f"duplicates      {extra:,}" + (printable(f", as {' = '.join(images.doubled[0][:2])}") if extra else ""),
        f"broken          {len(images.broken):,}",
        *(printable(f"  {path} {reason}") for path, reason in images.broken[:10]),
    ]
    if len(images.broken) > 10:
        lines.append(f"  and {len(images.broken) - 10:,} more")
    if labels is None:
        return "\n".join(lines)
    total, difficult = int(labels.boxes.sum()), int(labels.difficult.sum())
    share = f" ({difficult / total:.1%})" if total else ""
    crowds = f"; {labels.crowds:,} crowd regions not counted" if labels.crowds else ""
    lines += [
        "",
        f"annotated       {len(labels.per_image):,} images, {(labels.per_image == 0).sum():,} of them without a box",
        f"boxes           {total:,}, {difficult:,} of them difficult{share}{crowds}",
    ]
    if total:
        lines += [head, f"{'boxes per image':16}" + _quantiles(labels.per_image, ".0f")]
        # The side of a square of the box's area, over that of its image's.
        lines.append(f"{'relative size':16}" + _quantiles(labels.sizes, ".3f"))
    names = list(map(printable, labels.classes))
    width = min(62, max(16, *(len(name) + 2 for name in names)))
    lines.append(f"{'class':{width}}{'boxes':>8}{'share':>8}{'images':>8}{'difficult':>11}")
    for place in np.argsort(-labels.boxes, kind="stable"):
        boxes, own = labels.boxes[place], labels.difficult[place]
        lines.append(
            f"{names[place]:{width}}{boxes:>8,}{boxes / max(total, 1):>8.1%}{labels.images[place]:>8,}{own:>11,}"
        )
    return "\n".join(lines)


def _quantiles(values: np.ndarray, form: str) -> str:
    return "".join(f"{value:>7{form}}" for value in np.percentile(values, list(_QUANTILES.values())))


def _duplicates(images: ImageCard) -> int:
    return sum(len(same) - 1 for same in images.doubled)


def draw_card(
    images: ImageCard, labels: LabelCard | None, path: str | os.PathLike, title: str, *, overwrite: bool = False
) -> None:
    """Draw the card of a data set into an image file.

    Args:
        images: `ImageCard` of one readable image or more.
        labels: `LabelCard` or None.
        path: path of the image; its suffix selects the format.
        title: str.
        overwrite: bool. Replace an existing file.
    """
    counts = [f"{images.count:,} images"]
    if labels is not None:
        counts.append(f"{labels.boxes.sum():,} boxes of {len(labels.classes)} classes")
    problems = {"broken": len(images.broken), "duplicates": _duplicates(images)}
    counts += [f"{count:,} {name}" for name, count in problems.items() if count]
    tall = 0 if labels is None else max(3.6, 0.2 * min(len(labels.classes), _CLASSES) + 1.2)
    figure = Figure((11, 3.8 + tall), layout="constrained")
    figure.suptitle(f"{plotted(title)}: {', '.join(counts)}", fontsize=12, color=_INK)
    upper, *lower = figure.subfigures(
        1 if labels is None else 2, 1, height_ratios=[3.6, tall][: 1 + bool(tall)], squeeze=False
    )[:, 0]
    left, right = upper.subplots(1, 2)
    _sides(left, images)
    _histogram(right, np.minimum(images.heights, images.widths), "image: short side, px", "images")
    if labels is not None:
        left, middle, right = lower[0].subplots(1, 3, width_ratios=(2, 1, 1))
        _classes(left, labels)
        _histogram(
            middle,
            labels.per_image,
            "boxes per image",
            "images",
            bins=np.arange(labels.per_image.max(initial=0) + 2) - 0.5,
        )
        _histogram(
            right, labels.sizes, "box: side relative to image (root of areas)", "boxes", bins=np.linspace(0, 1, 26)
        )
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8, colors=_INK)
    with _files.whole(path, overwrite=overwrite) as part:
        figure.savefig(part, dpi=130)


def _sides(axes: Axes, images: ImageCard) -> None:
    sizes, counts = np.unique(np.stack([images.widths, images.heights], axis=1), axis=0, return_counts=True)
    most = 1.08 * max(sizes.max(initial=1), 1)
    axes.scatter(*sizes.T, s=12 + 500 * counts / counts.max(initial=1), color=_BLUE, alpha=0.35, linewidths=0)
    axes.plot([0, most], [0, most], color=_INK, linewidth=0.6, linestyle=":")
    axes.set(xlim=(0, most), ylim=(0, most), aspect="equal", xlabel="image: width, px", ylabel="height, px")
    axes.set_title("area of a dot: number of images", fontsize=9)


def _histogram(axes: Axes, values: np.ndarray, label: str, unit: str, bins: int | Sequence[float] = 40) -> None:
    axes.hist(values, bins=bins, color=_BLUE)
    axes.set(xlabel=label, ylabel=unit)
    if len(values):
        axes.axvline(np.median(values), color=_INK, linewidth=0.8, linestyle=":")
        axes.set_title(f"median {np.median(values):.3g}", fontsize=9)


def _classes(axes: Axes, labels: LabelCard) -> None:
    order = np.argsort(-labels.boxes, kind="stable")[:_CLASSES]
    places = np.arange(len(order))
    axes.barh(places - 0.2, labels.boxes[order], 0.4, color=_BLUE, label="boxes")
    axes.barh(places + 0.2, labels.images[order], 0.4, color=_PALE, label="images")
    axes.set_yticks(places, [plotted(labels.classes[place], 40) for place in order])
    axes.set_ylim(len(order) - 0.4, -0.6)
    if labels.boxes.max(initial=0) > 50 * max(1, np.median(labels.boxes)):
        axes.set_xscale("log")
    more = len(labels.classes) - len(order)
    axes.set_title(f"the {len(order)} most frequent classes; {more} more" if more else "classes", fontsize=9)
    axes.legend(fontsize=8, frameon=False, loc="lower right")
