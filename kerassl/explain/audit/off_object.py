"""Saliency outside of objects, and the share of it in a region."""

from __future__ import annotations

import numpy as np

CELLS = 32
"""Cells a side that heat is kept in: finer than what a feature map shows."""


def off_object_heat(heatmaps: np.ndarray, objects: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Compute the saliency outside of objects, as shares of each image's total saliency.

    Args:
        heatmaps: `[N, S, S]` array that is not negative, of letterboxed images.
        objects: `[N, S, S]` bool array, the pixels of the objects.
        sizes: `[N, 2]` array, the images' (height, width) in units of their long side.

    Returns:
        `[N, CELLS, CELLS]` float32 array over the letterbox, whose sum is the share of heat off the object. What lies
        in the letterbox's margin counts nowhere; all 0 where an image has no heat.
    """
    heatmaps = np.asarray(heatmaps, float)
    side = heatmaps.shape[-1]
    ends = np.clip(np.rint(np.asarray(sizes, float) * side), 1, side)
    steps = np.arange(side)
    within = np.where((steps[None, :, None] < ends[:, :1, None]) & (steps < ends[:, 1:, None]), heatmaps, 0.0)
    total = within.sum(axis=(1, 2), keepdims=True)
    shares = np.divide(np.where(objects, 0.0, within), total, out=np.zeros_like(within), where=total > 0)
    cells = np.stack([_overlap(step, step + 1, side) for step in range(side)])  # [S, CELLS]
    return np.einsum("nyx,yr,xc->nrc", shares, cells, cells, optimize=True).astype(np.float32)


def heat_in(grids: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Compute the share of saliency in a box of each image.

    Args:
        grids: `[N, CELLS, CELLS]` array, as `off_object_heat` gives it.
        boxes: `[N, 4]` array, xyxy in units of the letterbox's side.

    Returns:
        `[N]` float array, shares of each image's whole heat; heat is taken as even within a cell.
    """
    rows, columns = (
        np.array([_overlap(box[axis] * CELLS, box[axis + 2] * CELLS, CELLS) for box in boxes]) for axis in (1, 0)
    )
    return np.einsum("nrc,nr,nc->n", grids, rows.reshape(-1, CELLS), columns.reshape(-1, CELLS))


def _overlap(start, end, side):
    """Return how much of each of `CELLS` parts of a line of `side` units is between `start` and `end`: `[CELLS]`."""
    ends = np.arange(CELLS + 1) * side / CELLS
    return np.maximum(np.minimum(ends[1:], end) - np.maximum(ends[:-1], start), 0.0)
