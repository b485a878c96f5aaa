"""The boxes around the connected pieces of a heatmap."""

import numpy as np

_NEIGHBOURS = np.ones([3, 3], int)  # pixels that touch at a corner are connected


def component_boxes(heatmap, threshold):
    """Cuts a heatmap and draws a box around each connected piece.

    Args:
        heatmap: `[H, W]` array in [0, 1].
        threshold: float > 0. Pixels of at least this value stay.

    Returns:
        `[n, 4]` float64 array, xyxy in pixels, the piece of most pixels first (of equals, the upper one).
    """
    from scipy import ndimage

    labels, count = ndimage.label(np.asarray(heatmap) >= threshold, _NEIGHBOURS)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    boxes = [
        [columns.start, rows.start, columns.stop, rows.stop] for rows, columns in ndimage.find_objects(labels)
    ]  # fmt: skip
    order = np.argsort(-sizes, kind="stable")
    return np.array(boxes, float).reshape(-1, 4)[order]
