"""What is left of boxes where a part of the picture is cut off."""

import tensorflow as tf

ROUNDING = 1e-4
"""Share by which a box may fail a rule: whether an object counts must not hang on the last bits of its corners."""


def visible_boxes(boxes, regions, visible, smallest, rounding=ROUNDING):
    """Clips boxes to what is shown, and says which of them still stand for their object.

    A box counts if its centre is shown, and at least the share `visible` of its area, and if both sides of what is
    shown have at least `smallest` pixels.

    Args:
        boxes: `[..., 4]` float32, xyxy in pixels, not clipped.
        regions: float32 that can be broadcast to `boxes`, xyxy: what is shown.
        visible: float in [0, 1].
        smallest: float, in pixels.
        rounding: float. Share (and, of pixels, ten times as much) by which each rule may be missed.

    Returns:
        `[..., 4]` float32 boxes, and `[...]` bool.
    """
    low, high = regions[..., :2], regions[..., 2:]
    first, last = tf.maximum(boxes[..., :2], low), tf.minimum(boxes[..., 2:], high)
    sides = tf.maximum(last - first, 0.0)
    area = tf.reduce_prod(boxes[..., 2:] - boxes[..., :2], axis=-1)
    share = tf.reduce_prod(sides, axis=-1) / tf.maximum(area, 1e-9)
    centre = (boxes[..., :2] + boxes[..., 2:]) / 2
    pixels = 10 * rounding
    inside = tf.reduce_all((centre >= low - pixels) & (centre <= high + pixels), axis=-1)
    large = tf.reduce_all(sides >= smallest - pixels, axis=-1) & tf.reduce_all(sides > 0, axis=-1)
    return tf.concat([first, last], axis=-1), inside & large & (share >= visible * (1 - rounding))
