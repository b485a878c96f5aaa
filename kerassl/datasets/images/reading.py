"""Reading of image files."""

import os

from kerassl._errors import UserError
from kerassl._lazy import tf
from kerassl.datasets.images.decoding import MAX_PIXELS, decode
from kerassl.datasets.images.faults import fault
from kerassl.datasets.images.image_bytes import image_bytes, path_tensor

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")


def read_image(path, *, max_pixels=MAX_PIXELS):
    """Reads one image file, as people see it: turned as its EXIF says, what is transparent white.

    Args:
        path: str or `pathlib.Path`, of a file or of an image in a shard (a record's `path`).
        max_pixels: int. A picture of more pixels is refused before memory is taken for it.

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
    """Tell of each file whether readers can decode it, without keeping its pixels.

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
