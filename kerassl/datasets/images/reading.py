"""Reading of image files, and of their headers alone."""

from __future__ import annotations

import os
import typing

import numpy as np
import PIL.Image

from kerassl._errors import UserError
from kerassl._lazy import tf
from kerassl.datasets.images.decoding import FORMATS, MAX_PIXELS, decode
from kerassl.datasets.images.faults import fault, never_read
from kerassl.datasets.images.image_bytes import image_bytes, path_tensor
from kerassl.datasets.images.orientation import exif_orientation


def read_image(path: str | os.PathLike, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Read an image file as it is displayed: rotated by its EXIF orientation, on a white background.

    Args:
        path: str or `pathlib.Path`, of a file or of an image in a shard (a record's `path`).
        max_pixels: int. An image of more pixels is refused before memory is taken for it.

    Returns:
        `[H, W, 3]` uint8 array.

    Raises:
        UserError: if there is no such file, or it cannot be decoded, or has too many pixels.

    Example:
        >>> kerassl.datasets.read_image("photo.jpg").shape
        (375, 500, 3)
    """
    try:
        return decode(image_bytes([path])(os.fsencode(path), 0), max_pixels=max_pixels).numpy()
    except tf.errors.OpError:
        raise UserError(f"{path} {fault(path, max_pixels)}; give a whole JPEG, PNG, BMP, GIF or WebP file") from None


def decodable(paths):
    """Find out of each file whether it can be decoded, without keeping its pixels.

    Args:
        paths: list of str, of files or of images in shards.

    Yields:
        Bool, in the order of the paths.
    """
    read = image_bytes(paths)

    def attempt(place, path):
        one = tf.data.Dataset.from_tensors((path, place)).map(lambda *one: tf.size(decode(read(*one))) > 0)
        one = one.ignore_errors().concatenate(tf.data.Dataset.from_tensors(False))
        return one.take(1).get_single_element()

    files = tf.data.Dataset.from_tensor_slices(path_tensor(paths)).enumerate()
    yield from files.map(attempt, num_parallel_calls=tf.data.AUTOTUNE).as_numpy_iterator()


class Header(typing.NamedTuple):
    """The header of an image file.

    Attributes:
        width: int, in pixels, as the image is stored.
        height: int, likewise.
        orientation: int, of its EXIF, 1 to 8.
        kind: str, format and mode, as `"JPEG RGB"`.
    """

    width: int
    height: int
    orientation: int
    kind: str


def read_header(file, max_pixels=MAX_PIXELS):
    """Read the header of an image, without its pixels.

    Args:
        file: path, or binary file.
        max_pixels: int; see `decode`.

    Returns:
        `Header`, or None if readers refuse such a file: it is of another format or no ordinary file, or has no pixels
        or too many. What is wrong behind the header shows only when it is decoded.
    """
    if not hasattr(file, "read") and never_read(file) is not None:
        return None
    try:
        with PIL.Image.open(file, formats=FORMATS) as image:
            width, height = image.size
            orientation = exif_orientation(image.info.get("exif", b""))
            kind = f"{image.format} {image.mode}"
    except Exception:  # Pillow's readers raise many kinds
        return None
    return Header(width, height, orientation, kind) if 0 < width * height <= max_pixels else None
