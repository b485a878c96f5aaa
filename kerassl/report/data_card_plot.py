"""The card of a data set as a picture."""

import matplotlib.figure
import numpy as np

from kerassl._display import plotted
from kerassl._io import files as _files

_BLUE, _PALE, _INK = "#2f6690", "#a9c4d8", "#33383d"


def draw_card(images, labels, path, title, *, overwrite=False):
    """Draws a card.

    Args:
        images: `ImageCard`.
        labels: `LabelCard` or None.
        path: str or `pathlib.Path` of the picture; its suffix gives the format.
        title: str.
        overwrite: bool. Replace a file that is there already.

    Raises:
        UserError: if no image can be opened, so that there is nothing to draw.
    """
    most = 0 if labels is None else len(labels.classes)
    tall = max(3.6, 0.2 * min(most, 40) + 1.2)
    figure = matplotlib.figure.Figure((11, 3.8 + (tall if most else 0)), layout="constrained")
    figure.suptitle(f"{plotted(title)}: {_summary(images, labels)}", fontsize=12, color=_INK)
    if labels is None:
        top, bottom = figure.subplots(1, 2), None
    else:
        upper, lower = figure.subfigures(2, 1, height_ratios=(3.6, tall))
        top, bottom = upper.subplots(1, 2), lower.subplots(1, 3, width_ratios=(2, 1, 1))
    _sides(top[0], images)
    _short(top[1], images)
    if labels is not None:
        _classes(bottom[0], labels)
        _per_image(bottom[1], labels)
        _sizes(bottom[2], labels)
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8, colors=_INK)
        axes.title.set(fontsize=10, color=_INK)
        for label in (axes.xaxis.label, axes.yaxis.label):
            label.set(fontsize=9, color=_INK)
    with _files.whole(path, overwrite=overwrite) as part:
        figure.savefig(part, dpi=130)


def _summary(images, labels):
    extra = sum(len(same) - 1 for same in images.doubled)
    parts = [f"{images.count:,} images"]
    if labels is not None:
        parts.append(f"{labels.boxes.sum():,} boxes of {len(labels.classes)} classes")
    parts += [f"{count:,} {name}" for count, name in ((len(images.broken), "broken"), (extra, "duplicates")) if count]
    return ", ".join(parts)


def _sides(axes, images):
    sizes, counts = np.unique(np.stack([images.widths, images.heights], axis=1), axis=0, return_counts=True)
    area = 12 + 500 * counts / counts.max() if len(counts) else []
    axes.scatter(sizes[:, 0], sizes[:, 1], s=area, color=_BLUE, alpha=0.35, linewidths=0)
    most = 1.08 * max([1, *images.widths, *images.heights])
    axes.plot([0, most], [0, most], color=_INK, linewidth=0.6, linestyle=":")
    axes.set(xlim=(0, most), ylim=(0, most), aspect="equal", xlabel="width, px", ylabel="height, px")
    axes.set_title("image sizes (area: how many)")


def _short(axes, images):
    short = np.minimum(images.heights, images.widths)
    most = 1.08 * max(short, default=1)
    axes.hist(short, bins=np.linspace(0, most, 55), color=_BLUE)
    half = np.median(short)
    axes.axvline(half, color=_INK, linewidth=0.8, linestyle=":")
    axes.annotate(
        f"half have {half:.0f} or more", (half, 1.0), xycoords=("data", "axes fraction"), fontsize=8, color=_INK,
        xytext=(-4, -3), textcoords="offset points", ha="right", va="top",
    )  # fmt: skip
    axes.set(xlim=(0, most), xlabel="short side, px", ylabel="images")
    axes.margins(y=0.12)
    axes.set_title("short side: views gain nothing beyond it")


def _classes(axes, labels):
    order = np.argsort(-labels.boxes, kind="stable")[:40]
    places = np.arange(len(order))
    axes.barh(places - 0.2, labels.boxes[order], 0.4, color=_BLUE, label="boxes")
    axes.barh(places + 0.2, labels.images[order], 0.4, color=_PALE, label="images")
    axes.set_yticks(places, [plotted(labels.classes[place], 40) for place in order])
    axes.set_ylim(len(order) - 0.4, -0.6)
    if labels.boxes.max(initial=0) > 50 * max(1, np.median(labels.boxes)):
        axes.set_xscale("log")
    more = len(labels.classes) - len(order)
    axes.set_title("classes" + (f" (the first 40; {more} more)" if more else ""))
    axes.legend(fontsize=8, frameon=False, loc="lower right")


def _per_image(axes, labels):
    most = int(min(labels.per_image.max(initial=0), 20))
    counts = np.bincount(np.minimum(labels.per_image, most), minlength=most + 1)
    axes.bar(np.arange(most + 1), counts, color=_BLUE)
    over = labels.per_image.max(initial=0) > most
    axes.set(xlabel="boxes" + (f" ({most}: or more)" if over else ""), ylabel="images")
    axes.set_title("boxes an image")


def _sizes(axes, labels):
    axes.hist(labels.sizes, bins=np.linspace(0, 1, 26), color=_BLUE)
    axes.set(xlim=(0, 1), xlabel="side of box / side of image", ylabel="boxes")
    axes.set_title("box sizes (roots of areas)")
