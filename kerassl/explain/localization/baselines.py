"""Heatmaps that look at nothing."""

import numpy as np


def baselines(size, count=1):
    """Heatmaps that look at nothing: what any method has to beat.

    Args:
        size: (height, width) in pixels.
        count: int, the images.

    Returns:
        Dict of `[count, H, W]` float32 arrays: `"centred Gaussian"`, whose standard deviation is a quarter of each
        side, and `"whole image"`, which is 1 everywhere.

    Example:
        >>> arms = {"ours": heat, **kerassl.explain.baselines(heat.shape[1:3], len(heat))}
    """
    lines = [np.exp(-0.5 * ((np.arange(side) + 0.5 - side / 2) / (side / 4)) ** 2) for side in size]
    gaussian = np.outer(*lines)
    both = {"centred Gaussian": gaussian / gaussian.max(), "whole image": np.ones(size)}
    return {name: np.repeat(heat[None].astype(np.float32), count, axis=0) for name, heat in both.items()}
