"""Views drawn beside the images that they were cut from."""

import colorsys
import math

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from kerassl._display import plotted
from kerassl._errors import UserError
from kerassl._plots import fitting_dpi
from kerassl.augment.locations import match_cells

_FIRST, _SECOND = "#ff9f1c", "#00c2d1"
_HEADS = (
    "image and both crops",
    "first view",
    "second view",
    "cells of the first view",
    "the same places in the second",
)
_PANEL = 2.35  # inches
_SMALLEST = 4.5  # points; smaller numbers cannot be read and are left out


def contact_sheet(images, views, *, stride=32, names=None, title=None):
    """Draws a row an image: the image with both crop boxes, both views, and both once more with their matched cells.

    Cells of one number (and one colour) show the same place of the image, as `match_cells` finds them; dark cells
    have no match. Where several cells of the first view fall into one cell of the second, it has all their numbers.

    Args:
        images: `[B, H, W, 3]` array in [0, 255], what the views were cut from. May be larger or smaller than it was
            then: boxes are in shares of the sides.
        views: `Views` of these images.
        stride: int. Side of a cell in pixels of the views: 8 for P3, 16 for P4, 32 for P5.
        names: sequence of str, one an image, or None.
        title: str or None, over everything.

    Returns:
        `[height, width, 3]` uint8 array.

    Raises:
        UserError: if there is no image, the numbers of images, views and names differ, or the stride does not fit.

    Example:
        >>> sheet = kerassl.augment.contact_sheet(images, views, stride=16)
        >>> PIL.Image.fromarray(sheet).save("views.png")
    """
    images, names = np.asarray(images), [""] * len(images) if names is None else list(names)
    if images.ndim != 4 or not len(images) or not len(images) == len(views.first) == len(names):
        raise UserError(
            f"images are {images.shape}, views {len(views.first)} and names {len(names)}; give as many of each, one at "
            "least"
        )
    matches = match_cells(views, stride)
    views = type(views)(*(np.asarray(field) for field in views))
    rows = len(images)
    figure = Figure(figsize=(5 * _PANEL + 0.6, rows * (_PANEL + 0.25) + 0.7), layout="constrained")
    canvas = FigureCanvasAgg(figure)  # not pyplot, which keeps every figure until it is told to close it
    if title:
        figure.suptitle(plotted(title, 160), fontsize=13)
    axes = figure.subplots(rows, 5, squeeze=False)
    for axis, head in zip(axes[0], _HEADS):
        axis.set_title(head, fontsize=11)
    for row, (image, name) in enumerate(zip(images, names)):
        boxes = (views.first_boxes[row], views.second_boxes[row])
        flips = (views.first_flips[row], views.second_flips[row])
        pictures = (views.first[row], views.second[row])
        _show(axes[row, 0], image, plotted(name, 34))
        for box, colour, number in zip(boxes, (_FIRST, _SECOND), "12"):
            _outline(axes[row, 0], image, box, colour, number)
        numbers = _numbers(matches.cells[row].numpy(), matches.valid[row].numpy())
        for place, colour in enumerate((_FIRST, _SECOND)):
            told = f"{_area(boxes[place]):.0%} of the image{', mirrored' if flips[place] else ''}"
            _show(axes[row, 1 + place], pictures[place], told, colour)
            counted = (f"{len(numbers[0])} of {matches.valid.shape[1]} cells have a match", "dark: no match")[place]
            _show(axes[row, 3 + place], pictures[place], counted, colour)
            _cells(axes[row, 3 + place], numbers[place], pictures[place].shape[0], stride)
    figure.set_dpi(fitting_dpi(figure, figure.dpi))
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _numbers(cells, valid):
    """For both views a dict from the cell to its numbers, counted from 1 along the first view's matched cells."""
    first, second = {}, {}
    for number, cell in enumerate(np.flatnonzero(valid), 1):
        first[int(cell)] = [number]
        second.setdefault(int(cells[cell]), []).append(number)
    return first, second


def _show(axis, picture, below, frame=None):
    axis.imshow(np.clip(np.rint(picture), 0, 255).astype(np.uint8), interpolation="nearest")
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_xlabel(below, fontsize=9)
    for spine in axis.spines.values():
        spine.set_visible(frame is not None)
        spine.set_color(frame)
        spine.set_linewidth(3)


def _outline(axis, image, box, colour, number):
    height, width = image.shape[:2]
    # Pixel centres stand at whole numbers in a picture, edges half a pixel before them.
    y0, x0, y1, x1 = box * [height, width, height, width] - 0.5
    for edge, thickness in (("black", 4.5), (colour, 2.5)):
        axis.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=edge, linewidth=thickness))
    badge = {"facecolor": colour, "edgecolor": "black", "boxstyle": "round,pad=0.2", "linewidth": 0.8}
    # Above the box's lower edge for the second, so that two boxes of one corner keep both badges.
    corner, up = (y0, "top") if number == "1" else (y1, "bottom")
    axis.text(x0, corner, number, fontsize=9, weight="bold", va=up, ha="left", bbox=badge)


def _cells(axis, numbers, size, stride):
    grid = size // stride
    points = _PANEL * 72 / grid  # side of a cell on paper
    for cell in range(grid * grid):
        y, x = divmod(cell, grid)
        corner = (x * stride - 0.5, y * stride - 0.5)
        own = numbers.get(cell)
        if own is None:
            axis.add_patch(Rectangle(corner, stride, stride, facecolor="black", alpha=0.6, linewidth=0))
            continue
        colour = _colour(own[len(own) // 2])
        axis.add_patch(Rectangle(corner, stride, stride, facecolor=colour, alpha=0.3, linewidth=0))
        axis.add_patch(Rectangle(corner, stride, stride, fill=False, edgecolor=colour, linewidth=min(1.5, points / 12)))
        across = math.ceil(math.sqrt(len(own)))
        lines = [" ".join(map(str, own[start : start + across])) for start in range(0, len(own), across)]
        font = min(11, 0.3 * points, points / (0.75 * max(map(len, lines))), points / (1.35 * len(lines)))
        if font >= _SMALLEST:
            middle = (corner[0] + stride / 2, corner[1] + stride / 2)
            badge = {"facecolor": (0, 0, 0, 0.55), "edgecolor": "none", "boxstyle": "round,pad=0.15"}
            axis.text(*middle, "\n".join(lines), fontsize=font, color="white", weight="bold", ha="center", va="center",
                      bbox=badge)  # fmt: skip


def _colour(number):
    # Steps around the colour circle that put neighbours far apart.
    return colorsys.hsv_to_rgb(0.618034 * number % 1, 0.85, 1.0)


def _area(box):
    return (box[2] - box[0]) * (box[3] - box[1])
