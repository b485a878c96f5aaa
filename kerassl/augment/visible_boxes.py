"""Boxes after a part of the image is cut off."""

from __future__ import annotations

from kerassl._compat import tf

ROUNDING = 1e-4
"""Share by which a box may fail a rule: whether an object counts must not hang on the last bits of its corners."""


def visible_boxes(
    boxes: tf.Tensor, regions: tf.Tensor, min_visibility: float, min_size: float, rounding: float = ROUNDING
) -> tuple[tf.Tensor, tf.Tensor]:
    """Clip boxes to the visible region, and select those that still count as objects.

    A box counts if its center is visible, and at least the share `min_visibility` of its area, and if both sides of its
    visible part have at least `min_size` pixels.

    Args:
        boxes: `[..., 4]` float32, xyxy in pixels, not clipped.
        regions: float32 that can be broadcast to `boxes`, xyxy: what is shown.
        min_visibility: float in [0, 1].
        min_size: float, in pixels.
        rounding: float. Share (and, of pixels, ten times as much) by which each rule may be missed.

    Returns:
        `[..., 4]` float32 boxes, and `[...]` bool.
    """
    low, high = regions[..., :2], regions[..., 2:]
    first, last = tf.maximum(boxes[..., :2], low), tf.minimum(boxes[..., 2:], high)
    sides = tf.maximum(last - first, 0.0)
    area = tf.reduce_prod(boxes[..., 2:] - boxes[..., :2], axis=-1)
    share = tf.reduce_prod(sides, axis=-1) / tf.maximum(area, 1e-9)
    center = (boxes[..., :2] + boxes[..., 2:]) / 2
    pixels = 10 * rounding
    inside = tf.reduce_all((center >= low - pixels) & (center <= high + pixels), axis=-1)
    large = tf.reduce_all(sides >= min_size - pixels, axis=-1) & tf.reduce_all(sides > 0, axis=-1)
    return tf.concat([first, last], axis=-1), inside & large & (share >= min_visibility * (1 - rounding))
