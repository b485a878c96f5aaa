"""From feature maps to heatmaps, and from heatmaps to boxes."""

from __future__ import annotations

import numpy as np

from kerassl._lazy import tf

_ADJACENT = np.ones([3, 3], int)  # pixels that touch at a corner are connected


def embedding(maps: tf.Tensor, inside: tf.Tensor | None = None) -> tf.Tensor:
    """Compute the mean `[B, C]` of maps `[B, h, w, C]` over all locations, or those `inside` (`[B, h, w]` bool)."""
    if inside is None:
        return tf.reduce_mean(maps, axis=[1, 2])
    counted = tf.cast(inside, maps.dtype)
    total = tf.einsum("bhwc,bhw->bc", maps, counted)
    return tf.math.divide_no_nan(total, tf.reduce_sum(counted, axis=[1, 2])[:, None])


def contributions(maps: tf.Tensor, other: tf.Tensor, inside: tf.Tensor | None = None) -> tf.Tensor:
    """Compute what each location contributes to the cosine similarity of its image's embedding and another one.

    Args:
        maps: `[B, h, w, C]` float tensor.
        other: `[B, C]` float tensor.
        inside: as of `embedding`.

    Returns:
        `[B, h, w]` float tensor, whose mean over the locations that count is the similarity.

    References:
        Stylianou et al., "Visualizing Deep Similarity Networks", 2019.
    """
    lengths = tf.norm(embedding(maps, inside), axis=1) * tf.norm(other, axis=1)
    shares = tf.einsum("bhwc,bc->bhw", maps, other)
    return tf.math.divide_no_nan(shares, lengths[:, None, None])


def enlarge(maps: tf.Tensor | np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize maps `[B, h, w]`, which are not negative, bilinearly, and scale each to a maximum of 1; float32."""
    maps = tf.image.resize(maps[..., None], size)[..., 0]
    return tf.math.divide_no_nan(maps, tf.reduce_max(maps, axis=[1, 2], keepdims=True)).numpy()


def component_boxes(heatmap: np.ndarray, threshold: float) -> np.ndarray:
    """Draw a box around each connected component of a thresholded heatmap.

    Args:
        heatmap: `[H, W]` array in [0, 1].
        threshold: float > 0. Pixels of at least this value are kept.

    Returns:
        `[n, 4]` float64 array, xyxy in pixels, the component of most pixels first (of equals, the upper one).
    """
    from scipy import ndimage

    labels, count = ndimage.label(np.asarray(heatmap) >= threshold, _ADJACENT)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    boxes = [
        [columns.start, rows.start, columns.stop, rows.stop] for rows, columns in ndimage.find_objects(labels)
    ]  # fmt: skip
    order = np.argsort(-sizes, kind="stable")
    return np.array(boxes, float).reshape(-1, 4)[order]
