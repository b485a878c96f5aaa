"""Decode image files into pixels as they are displayed, in the graph."""

import functools
import io
import warnings

import numpy as np
import PIL.Image

from kerassl._lazy import tf
from kerassl.datasets.images.orientation import exif_orientation, jpeg_orientation, may_hold_exif, png_notes, turn

# Pillow warns of images that are allowed here; larger ones are refused before memory is taken for them.
warnings.filterwarnings("ignore", category=PIL.Image.DecompressionBombWarning)

MAX_PIXELS = 100_000_000  # 300 MB as uint8
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP")  # as Pillow calls them

_RATIOS = (1, 2, 4, 8)
TURNS = {
    2: PIL.Image.Transpose.FLIP_LEFT_RIGHT,
    3: PIL.Image.Transpose.ROTATE_180,
    4: PIL.Image.Transpose.FLIP_TOP_BOTTOM,
    5: PIL.Image.Transpose.TRANSPOSE,
    6: PIL.Image.Transpose.ROTATE_270,
    7: PIL.Image.Transpose.TRANSVERSE,
    8: PIL.Image.Transpose.ROTATE_90,
}


def decode(contents, *, shortest=None, longest=None, turned=True, max_pixels=MAX_PIXELS, pillow=True):
    """Decode the bytes of a JPEG, PNG, BMP, GIF or WebP as the image is displayed, in the graph.

    It is rotated by its EXIF orientation (JPEG, PNG, WebP); what is transparent shows white, as on a page; of 16 bits a
    color the upper 8 are kept; CMYK and YCCK become RGB; of an animation the first frame is taken. Color profiles are
    not applied. The bytes determine the format, not the name. GIF, WebP, and BMP of other than 24 bits are
    decoded by Pillow, the rest by TensorFlow.

    Args:
        contents: scalar string tensor.
        shortest: int or None. JPEGs are shrunk while they are decoded, by the largest of 2, 4 and 8 that leaves the
            short side at least so many pixels, for a pipeline that scales it down to that anyway. None shrinks nothing.
        longest: int or None. The same of the long side; `shrinkage` returns by how much.
        turned: bool. False leaves the image as it is stored.
        max_pixels: int. An image of more pixels, by its header, is refused before memory is taken for it.
        pillow: bool. False refuses what Pillow would decode: for graphs that run where there is no Python.

    Returns:
        `[H, W, 3]` uint8.

    Raises:
        tf.errors.OpError: if the file is broken, of another format or too large; `fault` says which.
    """

    contents = tf.convert_to_tensor(contents)
    image = tf.cond(
        _is_jpeg(contents),
        lambda: _jpeg(contents, shortest, longest, turned, max_pixels),
        lambda: _other_formats(turned, max_pixels, pillow)(contents),
    )
    return tf.ensure_shape(image, [None, None, 3])


def shrinkage(contents, longest):
    """Return by how much `decode` shrinks an image whose long side is to keep so many pixels.

    A pixel of the shrunk image is the mean of so many by so many of the file's; where these do not divide its sides,
    the last row and column are of less.

    Args:
        contents: scalar string tensor.
        longest: int; see `decode`.

    Returns:
        Scalar float32 tensor: 1, 2, 4 or 8.
    """

    def of_jpeg():
        shape = tf.image.extract_jpeg_shape(contents)
        return tf.constant(_RATIOS, tf.float32)[_fitting(shape, None, longest)]

    return tf.cond(_is_jpeg(contents), of_jpeg, lambda: 1.0)


# Functions of their own, which are not put together with their caller: a `tf.data` pipeline prepares all operations of
# its function for each pass, and a nested one for each image. These are prepared where they are met.
_APART = {"experimental_attributes": {"_noinline": True}}


@functools.cache
def _other_formats(turned, max_pixels, pillow):
    by_pillow = functools.partial(_by_pillow, turned=turned, max_pixels=max_pixels)

    def refused(contents):
        with _required(False, "a format that only Pillow decodes"):
            return tf.zeros([0, 0, 3], tf.uint8)

    def with_pillow(contents):
        image = tf.ensure_shape(tf.numpy_function(by_pillow, [contents], tf.uint8), [None, None, 3])
        with _required(tf.size(image) > 0, "no image that can be read"):
            return tf.identity(image)

    rest = with_pillow if pillow else refused

    def other_formats(contents):
        head = tf.strings.join([tf.strings.substr(contents, 0, 64), b"\0" * 64])
        return tf.cond(
            tf.strings.substr(head, 0, 8) == b"\x89PNG\r\n\x1a\n",
            lambda: _png(contents, head, turned, max_pixels),
            lambda: tf.cond(_is_plain_bmp(head), lambda: _bmp(contents, head, max_pixels), lambda: rest(contents)),
        )

    return tf.function(other_formats, input_signature=[tf.TensorSpec([], tf.string)], autograph=False, **_APART)


@functools.cache
def _turned_jpeg():
    def turned_jpeg(image, contents):
        return turn(image, jpeg_orientation(contents))

    signature = [tf.TensorSpec([None, None, 3], tf.uint8), tf.TensorSpec([], tf.string)]
    return tf.function(turned_jpeg, input_signature=signature, autograph=False, **_APART)


def _is_jpeg(contents):
    return tf.strings.substr(contents, 0, 3) == b"\xff\xd8\xff"


def _fitting(shape, shortest, longest):
    """Which of `_RATIOS` is the largest that leaves the sides as long as they are wanted."""
    side, wanted = (tf.reduce_max(shape[:2]), longest) if shortest is None else (tf.reduce_min(shape[:2]), shortest)
    return tf.reduce_sum(tf.cast(side >= wanted * tf.constant(_RATIOS[1:]), tf.int32))


def _jpeg(contents, shortest, longest, turned, max_pixels):
    shape = tf.image.extract_jpeg_shape(contents)

    def shrunk(ratio):
        return lambda: tf.io.decode_jpeg(contents, channels=3, ratio=ratio)

    with _small_enough(shape[0], shape[1], max_pixels):
        if shortest is None and longest is None:
            image = shrunk(1)()
        else:
            image = tf.switch_case(_fitting(shape, shortest, longest), [shrunk(ratio) for ratio in _RATIOS])
    if not turned:
        return image
    return tf.cond(may_hold_exif(contents), lambda: _turned_jpeg()(image, contents), lambda: image)


def _png(contents, head, turned, max_pixels):
    width, height = _numbers(head, 16, little_endian=False)
    orientation, transparent = png_notes(contents)
    kind = tf.strings.substr(head, 25, 1)  # 4 is gray and 6 is RGB, both with alpha

    def on_white():
        image = tf.cast(tf.io.decode_png(contents, channels=4), tf.int32)
        color, alpha = image[..., :3], image[..., 3:]
        return tf.cast((color * alpha + 255 * (255 - alpha) + 127) // 255, tf.uint8)

    with _small_enough(height, width, max_pixels):
        image = tf.cond(
            transparent | (kind == b"\4") | (kind == b"\6"),
            on_white,
            lambda: tf.io.decode_png(contents, channels=3),
        )
    return turn(image, orientation) if turned else image


def _is_plain_bmp(head):
    """Whether it has a header that TensorFlow reads, 24 bits a pixel, and no compression."""
    known = tf.reduce_any(tf.strings.substr(head, 14, 4) == [b"\x28\0\0\0", b"\x6c\0\0\0", b"\x7c\0\0\0"])
    plain = tf.strings.substr(head, 26, 8) == b"\1\0\x18\0\0\0\0\0"
    return (tf.strings.substr(head, 0, 2) == b"BM") & known & plain


def _bmp(contents, head, max_pixels):
    width, height = _numbers(head, 18, little_endian=True)
    with _small_enough(tf.abs(height), width, max_pixels):  # a height below zero means that the top comes first
        return tf.io.decode_bmp(contents, channels=3)


def _by_pillow(contents, turned, max_pixels):
    """The same in Python, without what Pillow would read beyond `FORMATS`; an empty array where it cannot."""
    try:
        with PIL.Image.open(io.BytesIO(contents), formats=FORMATS) as image:
            if image.width * image.height > max_pixels:
                return np.zeros([0, 0, 3], np.uint8)
            orientation = exif_orientation(image.info.get("exif", b"")) if turned else 1
            flat = on_white(image)
            return np.array(flat.transpose(TURNS[orientation]) if orientation > 1 else flat)
    except Exception:  # Pillow's decoders raise many kinds
        return np.zeros([0, 0, 3], np.uint8)


def on_white(image):
    """Return a Pillow image as RGB, on a white background where it is transparent."""
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        flat = PIL.Image.new("RGBA", image.size, "white")
        flat.alpha_composite(image.convert("RGBA"))
        image = flat
    return image.convert("RGB")


def _numbers(head, place, little_endian):
    """Two whole numbers of 32 bits."""
    return tf.unstack(tf.io.decode_raw(tf.strings.substr(head, place, 8), tf.int32, little_endian=little_endian), 2)


def _small_enough(height, width, max_pixels):
    pixels = tf.cast(height, tf.int64) * tf.cast(width, tf.int64)
    return _required((pixels > 0) & (pixels <= max_pixels), "too many pixels")


def _required(condition, message):
    # Without the branch that tf.debugging.Assert builds around it: this is done for every image.
    return tf.control_dependencies([tf.raw_ops.Assert(condition=condition, data=[message])])
