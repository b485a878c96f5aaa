"""Four images of a batch in one, at half their size."""

from __future__ import annotations

import typing
from collections.abc import Mapping

from kerassl._compat import tf

CENTER = (0.3, 0.7)
"""Range of the point at which the four meet, in shares of the side."""


class Mosaic(typing.NamedTuple):
    """Layout of four images of a batch, quarter by quarter: top left, top right, bottom left and right.

    Attributes:
        sources: `[B, 4]` int32, the images in the batch.
        shifts: `[B, 4, 2]` int32, (x, y) in the mosaic less (x, y) in the image at half its size.
        regions: `[B, 4, 4]` int32, xyxy of what each shows, in pixels of the mosaic.
        centers: `[B, 2]` int32, (x, y) in pixels, where the four meet.
    """

    sources: tf.Tensor
    shifts: tf.Tensor
    regions: tf.Tensor
    centers: tf.Tensor


def mosaic(draws: Mapping[str, tf.Tensor], regions: tf.Tensor, size: int) -> Mosaic:
    """Lay out a mosaic for each image of a batch of four or more: itself and three different others.

    An image that is larger than its quarter shows a random part; a smaller one touches the place where the four
    meet.

    Args:
        draws: dict of float32 in [0, 1), uniform, of each image: `"center"` `[B, 2]`, `"partners"` `[B, 3]`, `"places"`
            `[B, 4]`, `"parts"` `[B, 8]`.
        regions: `[B, 4]` float32 xyxy: the images in their squares. Whole numbers, the first two even.
        size: int. Side of the squares in pixels, even.
    """
    count = tf.shape(regions)[0]
    low, high = (round(size * each) for each in CENTER)
    center = low + tf.cast(tf.floor(draws["center"] * (high - low + 1)), tf.int32)  # [B, 2]
    own = tf.range(count)[:, None]
    others = (own + 1 + _different(draws["partners"], count - 1)) % count  # [B, 3]
    order = tf.argsort(draws["places"], axis=1)
    sources = tf.gather(tf.concat([own, others], axis=1), order, batch_dims=1)  # [B, 4]
    corners = tf.cast(tf.gather(regions, sources), tf.int32)  # [B, 4, 4]
    first, sides = corners[..., :2] // 2, (corners[..., 2:] - corners[..., :2]) // 2  # [B, 4, 2]
    after = tf.constant([[0, 0], [1, 0], [0, 1], [1, 1]]) == 1  # whether a quarter is behind the center, in x and y
    begin = tf.where(after, center[:, None], 0)
    end = tf.where(after, size, center[:, None])
    spare = sides - (end - begin)  # what does not fit into the quarter
    moved = tf.cast(tf.floor(tf.reshape(draws["parts"], [-1, 4, 2]) * tf.cast(spare + 1, tf.float32)), tf.int32)
    touching = tf.where(after, begin, end - sides)
    placed = tf.where(spare > 0, begin - moved, touching)
    shown = tf.concat([tf.maximum(placed, begin), tf.minimum(placed + sides, end)], axis=-1)
    return Mosaic(sources, placed - first, shown, center)


def mosaic_images(images: tf.Tensor, layout: Mosaic) -> tf.Tensor:
    """Draw the mosaics of a layout of images `[B, S, S, 3]`, black where nothing is shown."""
    size = images.shape[1]
    half = size // 2
    halves = tf.nn.avg_pool2d(images, 2, 2, "VALID")  # two by two pixels to one: no fine texture is passed over
    along = tf.range(size)
    low, high = layout.regions[..., :2, None], layout.regions[..., 2:, None]
    within = (along >= low) & (along < high)  # [B, 4, 2, S]
    places = along - layout.shifts[..., None]  # [B, 4, 2, S], in the image at half its size
    index = tf.zeros([1, size, size], tf.int32)
    for quarter in range(4):  # one by one, for they take memory
        rows, columns = places[:, quarter, 1, :, None], places[:, quarter, 0, None]
        flat = (layout.sources[:, quarter, None, None] * half + rows) * half + columns + 1  # 0 is where nothing is
        index = tf.where(within[:, quarter, 1, :, None] & within[:, quarter, 0, None], flat, index)  # [B, S, S]
    pixels = tf.concat([tf.zeros([1, 3], images.dtype), tf.reshape(halves, [-1, 3])], axis=0)
    return tf.ensure_shape(tf.gather(pixels, index), [None, size, size, 3])


def _different(draws, count):
    """Three different whole numbers below `count`, from `[B, 3]` uniform draws."""
    left = tf.cast(count - tf.range(3), tf.float32)
    first, second, third = tf.unstack(tf.cast(tf.floor(draws * left), tf.int32), axis=1)
    second += tf.cast(second >= first, tf.int32)
    third += tf.cast(third >= tf.minimum(first, second), tf.int32)
    third += tf.cast(third >= tf.maximum(first, second), tf.int32)
    return tf.stack([first, second, third], axis=1)
