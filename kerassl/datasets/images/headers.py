"""Headers of image files, and whether readers take a file: the one place that decides what is broken."""

import typing

import PIL.Image

from kerassl.datasets.images.decoding import FORMATS, MAX_PIXELS
from kerassl.datasets.images.faults import never_read
from kerassl.datasets.images.orientation import exif_orientation


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
