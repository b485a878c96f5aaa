"""Baseline maps that do not depend on the image."""

from __future__ import annotations

import numpy as np


def baseline_maps(size: tuple[int, int], count: int = 1) -> dict[str, np.ndarray]:
    """Return baseline maps that do not depend on the image.

    Args:
        size: (height, width) in pixels.
        count: int, the images.

    Returns:
        Dict of `[count, H, W]` float32 arrays: `"centered Gaussian"`, whose standard deviation is a quarter of each
        side, and `"whole image"`, which is 1 everywhere.

    Example:
        >>> models = {"ours": heatmaps, **kerassl.explain.baseline_maps(heatmaps.shape[1:3], len(heatmaps))}
    """
    lines = [np.exp(-0.5 * ((np.arange(side) + 0.5 - side / 2) / (side / 4)) ** 2) for side in size]
    gaussian = np.outer(*lines)
    both = {"centered Gaussian": gaussian / gaussian.max(), "whole image": np.ones(size)}
    return {name: np.repeat(heatmap[None].astype(np.float32), count, axis=0) for name, heatmap in both.items()}
