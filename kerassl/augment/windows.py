"""Windows: the part of an image that is shown, and its size, so that an object is left in it."""

from __future__ import annotations

import math
from collections.abc import Mapping

from kerassl._compat import tf
from kerassl.augment.lanes import lanewise
from kerassl.augment.visible_boxes import visible_boxes

ATTEMPTS = 10
"""Windows that are tried for one that shows an object."""


def window(
    draws: Mapping[str, tf.Tensor],
    cropped: tf.Tensor,
    zoom: tf.Tensor,
    sides: tf.Tensor,
    boxes: tf.Tensor,
    size: int,
    *,
    scale: tuple[float, float],
    ratio: tuple[float, float],
    min_visibility: float,
    min_size: float,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Choose the part of an image that fills a square, as the letterbox does, times a zoom.

    The first of the attempts that shows an object, by the rules of `visible_boxes`, is taken; on an image without any,
    the first. Where none does, it is the whole image, not enlarged.

    Args:
        draws: dict of float32 in [0, 1), uniform: `"areas"` and `"ratios"` `[ATTEMPTS]`, `"positions"`
            `[2 * ATTEMPTS]`.
        cropped: scalar bool. Whether a part of the image is cut out at all.
        zoom: scalar float32. By how much that part is enlarged over its letterbox; what no longer fits is cut off too.
        sides: `[2]` float32, (width, height) of the image in pixels.
        boxes: `[n, 4]` float32, xyxy in pixels; those without an area are none.
        size: int. Side of the square in pixels.
        scale: (lowest, highest) share of the image's area; less where a shape does not fit into the image.
        ratio: (lowest, highest) width over height in pixels; the draw is uniform in its logarithm.
        min_visibility, min_size: see `visible_boxes`; pixels are those of the square.

    Returns:
        `[2]` int32 first pixel as (x, y), `[2]` int32 (width, height) of the part in pixels of the image, and `[2]`
        int32 (width, height) that it has in the square.
    """
    areas = (scale[0] + draws["areas"] * (scale[1] - scale[0])) * tf.reduce_prod(sides)
    low, high = math.log(ratio[0]), math.log(ratio[1])
    ratios = lanewise(tf.exp, low + draws["ratios"] * (high - low))
    parts = tf.minimum(tf.sqrt(tf.stack([areas * ratios, areas / ratios], axis=1)), sides)  # [ATTEMPTS, 2]
    parts = tf.concat([tf.where(cropped, parts, sides), sides[None]], axis=0)
    zooms = tf.concat([tf.fill([ATTEMPTS], zoom), [tf.minimum(zoom, 1.0)]], axis=0)[:, None]
    longest = tf.reduce_max(parts, axis=1, keepdims=True)
    scales = zooms * tf.cast(size, tf.float32) / longest
    parts = tf.clip_by_value(tf.round(tf.minimum(parts, longest / zooms)), 1.0, sides)
    shown = tf.clip_by_value(tf.round(parts * scales), 1.0, tf.cast(size, tf.float32))
    places = tf.concat([tf.reshape(draws["positions"], [ATTEMPTS, 2]), [[0.0, 0.0]]], axis=0)
    origins = tf.minimum(tf.floor(places * (sides - parts + 1.0)), sides - parts)
    factors = tf.tile(shown / parts, [1, 2])[:, None]  # [ATTEMPTS + 1, 1, 4]
    placed = (boxes[None] - tf.tile(origins, [1, 2])[:, None]) * factors
    regions = tf.concat([tf.zeros_like(shown), shown], axis=1)[:, None]
    _, kept = visible_boxes(placed, regions, min_visibility, min_size)
    good = tf.reduce_any(kept, axis=1) | ~tf.reduce_any(boxes[:, 2] > boxes[:, 0])
    chosen = tf.where(tf.reduce_any(good), tf.argmax(tf.cast(good, tf.int32), output_type=tf.int32), ATTEMPTS)
    return tuple(tf.cast(each[chosen], tf.int32) for each in (origins, parts, shown))
