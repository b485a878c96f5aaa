"""Random boxes of an image, cut out, resized and flipped."""

from __future__ import annotations

import math

from kerassl._compat import tf
from kerassl.augment.lanes import lanewise

ATTEMPTS = 10
"""Pairs of area and ratio tried for a box that fits into its image."""


def crop_boxes(
    areas: tf.Tensor,
    ratios: tf.Tensor,
    positions: tf.Tensor,
    image_aspect: tf.Tensor,
    *,
    scale: tuple[float, float],
    ratio: tuple[float, float],
) -> tf.Tensor:
    """Boxes of a random share of the image and a random shape, somewhere inside it.

    The first of the attempts that fits is taken. Where none does (a wide image, a large share), the box is the
    largest of an accepted ratio.

    Args:
        areas: `[B, ATTEMPTS]` float32 in [0, 1), uniform.
        ratios: `[B, ATTEMPTS]` float32 in [0, 1), uniform.
        positions: `[B, 2]` float32 in [0, 1), uniform: along the height and along the width.
        image_aspect: scalar float32, width over height of the images in pixels.
        scale: (lowest, highest) share of the image's area.
        ratio: (lowest, highest) width over height of the box in pixels; the draw is uniform in its logarithm.

    Returns:
        `[B, 4]` float32, (y0, x0, y1, x1) in shares of the image's sides.
    """
    shares = scale[0] + areas * (scale[1] - scale[0])
    ratios = lanewise(tf.exp, math.log(ratio[0]) + ratios * (math.log(ratio[1]) - math.log(ratio[0])))
    heights = tf.sqrt(shares * image_aspect / ratios)  # [B, ATTEMPTS]
    widths = tf.sqrt(shares * ratios / image_aspect)
    fits = tf.logical_and(heights <= 1.0, widths <= 1.0)
    first = tf.argmax(tf.cast(fits, tf.int32), axis=1)
    any_fits = tf.reduce_any(fits, axis=1)
    nearest = tf.clip_by_value(image_aspect, ratio[0], ratio[1])
    height = tf.where(any_fits, tf.gather(heights, first, batch_dims=1), tf.minimum(1.0, image_aspect / nearest))
    width = tf.where(any_fits, tf.gather(widths, first, batch_dims=1), tf.minimum(1.0, nearest / image_aspect))
    y0, x0 = positions[:, 0] * (1.0 - height), positions[:, 1] * (1.0 - width)
    return tf.stack([y0, x0, y0 + height, x0 + width], axis=1)


def whole_pixels(boxes: tf.Tensor, height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """Move the edges of boxes to the nearest edges of pixels, at least one pixel apart.

    Args:
        boxes: `[N, 4]` float32, (y0, x0, y1, x1) in shares of the image's sides; so is the result.
        height, width: Scalar int32, sides of the images in pixels.
    """
    sides = tf.cast(tf.stack([height, width]), tf.float32)
    low = tf.minimum(tf.round(boxes[:, :2] * sides), sides - 1.0)
    high = tf.maximum(tf.round(boxes[:, 2:] * sides), low + 1.0)
    return tf.concat([low, high], axis=1) / tf.tile(sides, [2])


def crop(images: tf.Tensor, boxes: tf.Tensor, flips: tf.Tensor, size: int) -> tf.Tensor:
    """Cut one box out of each image, resized bilinearly to a square and mirrored where asked.

    A pixel of the result is read at one point between four pixels of the box; nothing is averaged where the box is
    larger than the result, so fine texture aliases if images come much larger than the views.

    One image after the other: `tf.image.crop_and_resize`, which takes a batch, needs twice as long for it.

    Args:
        images: `[B, H, W, 3]`.
        boxes: `[N, 4]` float32, (y0, x0, y1, x1) in shares of the image's sides, as `whole_pixels` gives them; `N` a
            multiple of `B`, and box `i` is cut from image `i mod B`.
        flips: `[N]` bool.
        size: int, side of the result in pixels.

    Returns:
        `[N, size, size, 3]` float32.
    """
    count, height, width = tf.unstack(tf.shape(images)[:3])
    corners = tf.cast(tf.round(boxes * tf.cast(tf.stack([height, width] * 2), tf.float32)), tf.int32)
    index = tf.range(tf.shape(boxes)[0]) % count

    def one(row):
        index, (y0, x0, y1, x1), flip = row[0], tf.unstack(row[1]), row[2]
        # A list of axes that may be empty: a branch would take longer than most of these.
        piece = tf.reverse(images[index, y0:y1, x0:x1], tf.fill([flip], 1))
        return tf.image.resize(tf.ensure_shape(piece, [None, None, 3]), [size, size])

    rows = (index, corners, tf.cast(flips, tf.int32))
    return tf.map_fn(one, rows, fn_output_signature=tf.TensorSpec([size, size, 3], tf.float32))
