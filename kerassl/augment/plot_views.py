"""Views drawn beside the images that they were cut from."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from kerassl._display import fitting_dpi, plotted
from kerassl._errors import UserError
from kerassl.augment.locations import match_locations
from kerassl.augment.views import Views

_FIRST, _SECOND = "#ff9f1c", "#00c2d1"
_HEADS = (
    "image and both crops",
    "first view",
    "second view",
    "locations of the first view",
    "the same places in the second",
)
_PANEL = 2.35  # inches
_SMALLEST = 4.5  # points; smaller numbers cannot be read and are left out


def plot_views(
    images: np.ndarray, views: Views, *, stride: int = 32, names: Sequence[str] | None = None, title: str | None = None
) -> np.ndarray:
    """Draw one row per image: the image with both crop boxes, both views, and both with their matched locations.

    Locations of one number (and one color) show the same place of the image, as `match_locations` finds them; dark ones
    have no match. A location of the second view has the numbers of all locations of the first that match it.

    Args:
        images: `[B, H, W, 3]` array in [0, 255], what the views were cut from. May be larger or smaller than it was
            then: boxes are in shares of the sides.
        views: `Views` of these images.
        stride: int. Side of a location in pixels of the views: 8 for P3, 16 for P4, 32 for P5.
        names: sequence of str, one an image, or None.
        title: str or None, over everything.

    Returns:
        `[height, width, 3]` uint8 array.

    Raises:
        UserError: if there is no image, the numbers of images, views and names differ, or the stride does not fit.

    Example:
        >>> sheet = kerassl.augment.plot_views(images, views, stride=16)
        >>> PIL.Image.fromarray(sheet).save("views.png")
    """
    images, names = np.asarray(images), [""] * len(images) if names is None else list(names)
    if images.ndim != 4 or not len(images) or not len(images) == len(views.first) == len(names):
        raise UserError(
            f"images are {images.shape}, views {len(views.first)} and names {len(names)}; give as many of each, one at "
            "least"
        )
    matches = match_locations(views, stride)
    views = type(views)(*(np.asarray(field) for field in views))
    rows = len(images)
    figure = Figure(figsize=(5 * _PANEL + 0.6, rows * (_PANEL + 0.25) + 0.7), layout="constrained")
    canvas = FigureCanvasAgg(figure)  # not pyplot, which keeps every figure until it is closed
    if title:
        figure.suptitle(plotted(title, 160), fontsize=13)
    axes = figure.subplots(rows, 5, squeeze=False)
    for axis, head in zip(axes[0], _HEADS):
        axis.set_title(head, fontsize=11)
    for row, (image, name) in enumerate(zip(images, names)):
        boxes = (views.first_boxes[row], views.second_boxes[row])
        flips = (views.first_flips[row], views.second_flips[row])
        crops = (views.first[row], views.second[row])
        _show(axes[row, 0], image, plotted(name, 34))
        for box, color, number in zip(boxes, (_FIRST, _SECOND), "12"):
            _outline(axes[row, 0], image, box, color, number)
        numbers = _numbers(matches.locations[row].numpy(), matches.valid[row].numpy())
        for place, color in enumerate((_FIRST, _SECOND)):
            caption = f"{_area(boxes[place]):.0%} of the image{', mirrored' if flips[place] else ''}"
            _show(axes[row, 1 + place], crops[place], caption, color)
            counted = (f"{len(numbers[0])} of {matches.valid.shape[1]} locations have a match", "dark: no match")[place]
            _show(axes[row, 3 + place], crops[place], counted, color)
            _locations(axes[row, 3 + place], numbers[place], crops[place].shape[0], stride)
    figure.set_dpi(fitting_dpi(figure, figure.dpi))
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _numbers(locations, valid):
    """Map, for both views, a location to its numbers, counted from 1 along the first view's matched locations."""
    first, second = {}, {}
    for number, location in enumerate(np.flatnonzero(valid), 1):
        first[int(location)] = [number]
        second.setdefault(int(locations[location]), []).append(number)
    return first, second


def _show(axis, image, below, frame=None):
    axis.imshow(np.clip(np.rint(image), 0, 255).astype(np.uint8), interpolation="nearest")
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_xlabel(below, fontsize=9)
    for spine in axis.spines.values():
        spine.set_visible(frame is not None)
        spine.set_color(frame)
        spine.set_linewidth(3)


def _outline(axis, image, box, color, number):
    height, width = image.shape[:2]
    # Pixel centers are at whole numbers, edges half a pixel before them.
    y0, x0, y1, x1 = box * [height, width, height, width] - 0.5
    for edge, thickness in (("black", 4.5), (color, 2.5)):
        axis.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=edge, linewidth=thickness))
    badge = {"facecolor": color, "edgecolor": "black", "boxstyle": "round,pad=0.2", "linewidth": 0.8}
    # Above the box's lower edge for the second, so that two boxes of one corner keep both badges.
    corner, up = (y0, "top") if number == "1" else (y1, "bottom")
    axis.text(x0, corner, number, fontsize=9, weight="bold", va=up, ha="left", bbox=badge)


def _locations(axis, numbers, size, stride):
    grid = size // stride
    points = _PANEL * 72 / grid  # side of a location on paper
    for location in range(grid * grid):
        y, x = divmod(location, grid)
        corner = (x * stride - 0.5, y * stride - 0.5)
        own = numbers.get(location)
        if own is None:
            axis.add_patch(Rectangle(corner, stride, stride, facecolor="black", alpha=0.6, linewidth=0))
            continue
        color = _color(own[len(own) // 2])
        axis.add_patch(Rectangle(corner, stride, stride, facecolor=color, alpha=0.3, linewidth=0))
        axis.add_patch(Rectangle(corner, stride, stride, fill=False, edgecolor=color, linewidth=min(1.5, points / 12)))
        across = math.ceil(math.sqrt(len(own)))
        lines = [" ".join(map(str, own[start : start + across])) for start in range(0, len(own), across)]
        font = min(11, 0.3 * points, points / (0.75 * max(map(len, lines))), points / (1.35 * len(lines)))
        if font >= _SMALLEST:
            middle = (corner[0] + stride / 2, corner[1] + stride / 2)
            badge = {"facecolor": (0, 0, 0, 0.55), "edgecolor": "none", "boxstyle": "round,pad=0.15"}
            axis.text(*middle, "\n".join(lines), fontsize=font, color="white", weight="bold", ha="center", va="center",
                      bbox=badge)  # fmt: skip


def _color(number):
    # Steps around the color circle that put neighbors far apart.
    return colorsys.hsv_to_rgb(0.618034 * number % 1, 0.85, 1.0)


def _area(box):
    return (box[2] - box[0]) * (box[3] - box[1])
