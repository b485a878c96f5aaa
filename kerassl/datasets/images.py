"""Image files into tensors, in the graph: decoding, letterboxing, cropping, and what is wrong with a file."""

import pathlib

from kerassl import _compat  # noqa: F401  # isort: skip
import numpy as np
import PIL.Image
import tensorflow as tf

from kerassl._errors import UserError

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")


def check_image_size(size):
    """Refuses an image side that the strides 8, 16 and 32 do not divide.

    Args:
        size: int, in pixels.

    Returns:
        `size` as int.

    Raises:
        UserError: if `size` is no positive multiple of 32.
    """
    if isinstance(size, bool) or not isinstance(size, (int, float, np.number)):
        raise UserError(f"image size {size!r} is no number; give the side of the square in pixels, a multiple of 32")
    if not np.isfinite(size) or int(size) != size or size < 32 or size % 32:
        below = max(32, int(size) // 32 * 32) if np.isfinite(size) else 224
        raise UserError(
            f"image size {size} is no multiple of 32: the feature maps of strides 8, 16 and 32 would not line up with "
            f"the image; use {below} or {below + 32}"
        )
    return int(size)


def decode(contents):
    """Decodes the bytes of a JPEG, PNG, BMP or GIF (its first frame), in the graph.

    Args:
        contents: scalar string tensor.

    Returns:
        `[H, W, 3]` uint8. The orientation that a camera may have noted (EXIF) is not applied, as in VOC's boxes.
    """
    image = tf.io.decode_image(contents, channels=3, expand_animations=False)
    return tf.ensure_shape(image, [None, None, 3])


def read_image(path):
    """Reads one image file.

    Args:
        path: str or `pathlib.Path`.

    Returns:
        `[H, W, 3]` uint8 array.

    Raises:
        UserError: if there is no such file, or it cannot be decoded.

    Example:
        >>> kerassl.datasets.read_image("photo.jpg").shape
        (375, 500, 3)
    """
    try:
        return decode(tf.io.read_file(str(path))).numpy()
    except tf.errors.OpError:
        raise UserError(f"{path} {fault(path)}; give a whole JPEG, PNG, BMP or GIF file") from None


def letterbox(image, size):
    """Scales an image so that its long side fills a square; the picture lies at the top left, the rest is black.

    A place in the letterboxed image divided by the scale is the place in the original.

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
    picture = _resize(image, scaled)
    margins = tf.stack([[0, size - scaled[0]], [0, size - scaled[1]], [0, 0]])
    if image.shape.rank == 4:
        margins = tf.concat([[[0, 0]], margins], axis=0)
    square = tf.pad(picture, margins)
    return tf.ensure_shape(square, [*image.shape[:-3], size, size, 3]), scale


def centre_crop(image, size):
    """Scales an image so that its short side fills a square, and cuts the square out of the middle.

    Args:
        image: `[H, W, 3]`, uint8 or float, in [0, 255].
        size: int. Side of the square in pixels.

    Returns:
        `[size, size, 3]` float32.
    """
    sides = tf.shape(image)[:2]
    short = tf.reduce_min(sides)
    # Cutting first resizes fewer pixels.
    top, left = (sides[0] - short) // 2, (sides[1] - short) // 2
    square = image[top : top + short, left : left + short]
    return tf.ensure_shape(_resize(square, [size, size]), [size, size, 3])


def _resize(image, sides):
    # Anti-aliased: without it fine texture of a large photograph turns into noise that no view has in common.
    return tf.clip_by_value(tf.image.resize(image, sides, antialias=True), 0.0, 255.0)


def fault(path):
    """Why a file cannot be decoded, in words that go after its name.

    Args:
        path: str or `pathlib.Path`.

    Returns:
        Str, as `"is truncated"`.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        return "is not there" if not path.exists() else "is no file"
    if path.stat().st_size == 0:
        return "is empty (0 bytes)"
    try:
        with PIL.Image.open(path) as image:
            image.load()
            return f"cannot be decoded by TensorFlow (it is {image.format}, {image.mode})"
    except PIL.UnidentifiedImageError:
        return "is no image that can be read"
    except Exception as error:  # Pillow's decoders raise many kinds
        return f"cannot be decoded ({str(error).splitlines()[0] if str(error) else type(error).__name__})"
