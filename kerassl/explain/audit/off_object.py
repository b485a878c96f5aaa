"""Saliency outside of objects, and the share of it in a region."""

from __future__ import annotations

import numpy as np

GRID = 32
"""Squares a side of the grid that saliency is summed up on, finer than any feature map."""


def off_object_saliency(heatmaps: np.ndarray, objects: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Compute the saliency outside of objects, as shares of each image's total saliency.

    Args:
        heatmaps: `[N, S, S]` array that is not negative, of letterboxed images.
        objects: `[N, S, S]` bool array, the pixels of the objects.
        sizes: `[N, 2]` array, the images' (height, width) in units of their long side.

    Returns:
        `[N, GRID, GRID]` float32 array over the letterbox, whose sum is the share off the object. Its margin is left
        out; all 0 where an image has no saliency.
    """
    heatmaps = np.asarray(heatmaps, float)
    side = heatmaps.shape[-1]
    ends = np.clip(np.rint(np.asarray(sizes, float) * side), 1, side)
    steps = np.arange(side)
    within = np.where((steps[None, :, None] < ends[:, :1, None]) & (steps < ends[:, 1:, None]), heatmaps, 0.0)
    total = within.sum(axis=(1, 2), keepdims=True)
    shares = np.divide(np.where(objects, 0.0, within), total, out=np.zeros_like(within), where=total > 0)
    squares = np.stack([_overlap(step, step + 1, side) for step in range(side)])  # [S, GRID]
    return np.einsum("nyx,yr,xc->nrc", shares, squares, squares, optimize=True).astype(np.float32)


def saliency_in(grids: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Compute the share of saliency `[N]` in a box of each image, taken as even within a square of the grid.

    Args:
        grids: `[N, GRID, GRID]` array of `off_object_saliency`.
        boxes: `[N, 4]` array, xyxy in units of the letterbox's side.
    """
    rows, columns = (
        np.array([_overlap(box[axis] * GRID, box[axis + 2] * GRID, GRID) for box in boxes]) for axis in (1, 0)
    )
    return np.einsum("nrc,nr,nc->n", grids, rows.reshape(-1, GRID), columns.reshape(-1, GRID))


def _overlap(start, end, side):
    """Return how much of each of `GRID` parts of a line of `side` units is between `start` and `end`: `[GRID]`."""
    ends = np.arange(GRID + 1) * side / GRID
    return np.maximum(np.minimum(ends[1:], end) - np.maximum(ends[:-1], start), 0.0)
