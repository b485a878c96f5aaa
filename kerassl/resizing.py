"""Sizes of images, and resizing to squares: letterboxing and center crops."""

from __future__ import annotations

import numpy as np

from kerassl._errors import UserError
from kerassl._lazy import tf
from kerassl._numbers import short

MOST = 8192  # pixels of a side; an image of four times that fills the memory of a GPU


def check_image_size(size: float) -> int:
    """Refuse an image side that the strides 8, 16 and 32 do not divide.

    Args:
        size: int, in pixels.

    Returns:
        `size` as int.

    Raises:
        UserError: if `size` is not a positive multiple of 32.
    """
    if isinstance(size, (bool, np.bool_)) or not isinstance(size, (int, float, np.number)):
        raise UserError(
            f"image size {short(size)} is not a number; give the side of the square in pixels, a multiple of 32"
        )
    if not 32 <= size <= MOST or size % 32:  # NaN too
        below = int(min(max(32, size), MOST - 32)) // 32 * 32 if size == size else 224
        raise UserError(
            f"image size {short(size)} is no multiple of 32 from 32 to {MOST:,}: the feature maps of strides 8, 16 and "
            f"32 would not line up with the image; use {below} or {below + 32}"
        )
    return int(size)


def letterbox(image: np.ndarray | tf.Tensor, size: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Scale an image so that its long side fills a square; the image is at the top left, the rest is black.

    Coordinates in the letterboxed image divided by the scale are those in the original.

    Args:
        image: `[H, W, 3]` or `[B, H, W, 3]`, uint8 or float, in [0, 255].
        size: int. Side of the square in pixels.

    Returns:
        Float32 image `[size, size, 3]` or `[B, size, size, 3]`, and the scale, a float32 scalar.

    Example:
        >>> square, scale = kerassl.datasets.letterbox(kerassl.datasets.read_image("photo.jpg"), 256)
    """
    image = tf.convert_to_tensor(image)
    sides = tf.cast(tf.shape(image)[-3:-1], tf.float32)  # (height, width)
    scale = tf.cast(size, tf.float32) / tf.reduce_max(sides)
    scaled = tf.clip_by_value(tf.cast(tf.round(sides * scale), tf.int32), 1, size)
    scaled_image = resize(image, scaled)
    margins = tf.stack([[0, size - scaled[0]], [0, size - scaled[1]], [0, 0]])
    if image.shape.rank == 4:
        margins = tf.concat([[[0, 0]], margins], axis=0)
    square = tf.pad(scaled_image, margins)
    return tf.ensure_shape(square, [*image.shape[:-3], size, size, 3]), scale


def center_crop(image: np.ndarray | tf.Tensor, size: int) -> tf.Tensor:
    """Scale an image so that its short side fills a square of `size` pixels, and crop the square's center; float32."""
    sides = tf.shape(image)[:2]
    short = tf.reduce_min(sides)
    # Cutting first resizes fewer pixels.
    top, left = (sides[0] - short) // 2, (sides[1] - short) // 2
    square = image[top : top + short, left : left + short]
    # Down to half, bilinear interpolation takes every pixel in, and needs a tenth of the time.
    resized = tf.cond(
        short > 2 * size, lambda: resize(square, [size, size]), lambda: tf.image.resize(square, [size, size])
    )
    return tf.ensure_shape(resized, [size, size, 3])


def resize(image: np.ndarray | tf.Tensor, sides: tf.Tensor) -> tf.Tensor:
    """Resize an image `[H, W, 3]` or a batch to `sides`, (height, width), as float32 in [0, 255], with anti-aliasing.

    Without it, fine texture of a large image turns into noise.
    """
    return tf.clip_by_value(tf.image.resize(image, sides, antialias=True), 0.0, 255.0)
