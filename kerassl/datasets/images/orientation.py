"""The EXIF orientation of images: reading it, in the graph and in Python, and rotating images and boxes by it.

Orientation 1 is as stored; 2 to 8 are mirrored or turned: 5 to 8 have height and width exchanged.
"""

import numpy as np

from kerassl._lazy import tf

_BYTE_OF_FILLING, _COMMENT = 0xFFFF, 0xFFFE  # JPEG's markers; an application's own are 0xFFE0 to 0xFFEF
_EXIF = [0x4578, 0x6966, 0]  # "Exif" and two zeros, as words of 16 bits
_TAG, _SHORT = 0x112, 3


def may_hold_exif(contents):
    """Return whether a JPEG may hold EXIF: it is not JFIF's header and then tables; cheap, in the graph.

    Args:
        contents: scalar string tensor, the file.

    Returns:
        Scalar bool tensor.
    """
    header, following = tf.strings.substr(contents, 2, 4), tf.strings.substr(contents, 20, 2)
    return (header != b"\xff\xe0\x00\x10") | (following != b"\xff\xdb")


def jpeg_orientation(contents):
    """Read the orientation in a JPEG's EXIF, in the graph.

    Args:
        contents: scalar string tensor, the file.

    Returns:
        Scalar int32 tensor, 1 to 8; 1 where there is none.
    """
    size = tf.strings.length(contents)

    def head(position):  # marker, length and the first six bytes of a segment; zeros behind the end
        words = tf.io.decode_raw(
            tf.strings.substr(contents, position, 10), tf.uint16, little_endian=False, fixed_length=10
        )
        return tf.cast(words, tf.int32)

    def is_exif(words):
        return (words[0] == 0xFFE1) & tf.reduce_all(words[2:] == _EXIF)

    def follows(position, words):
        # EXIF is among the applications' own segments, which come first.
        marker = words[0]
        return (((marker >= 0xFFE0) & (marker <= 0xFFEF)) | (marker >= _COMMENT)) & ~is_exif(words)

    def following(position, words):
        step = tf.where(words[0] == _BYTE_OF_FILLING, 1, 2 + tf.maximum(words[1], 2))
        position = tf.minimum(position + step, size)
        return position, head(position)

    first = tf.minimum(2, size)
    position, words = tf.while_loop(follows, following, (first, head(first)))
    return tf.cond(
        is_exif(words),
        lambda: _orientation(tf.strings.substr(contents, tf.minimum(position + 10, size), tf.maximum(words[1] - 8, 0))),
        lambda: 1,
    )


def png_notes(contents):
    """Read the chunks before a PNG's pixels, in the graph.

    Args:
        contents: scalar string tensor, the file.

    Returns:
        The orientation of its EXIF, a scalar int32 tensor as of `jpeg_orientation`, and whether one of its colors is
        named as transparent, a scalar bool tensor (an alpha channel is another matter).
    """
    size = tf.strings.length(contents)
    pixels, exif, transparency = (int.from_bytes(name, "big") for name in (b"IDAT", b"eXIf", b"tRNS"))

    def head(position):  # length and name of a chunk; zeros behind the end
        return tf.io.decode_raw(tf.strings.substr(contents, position, 8), tf.int32, little_endian=False, fixed_length=8)

    def follows(position, words, noted, transparent):
        return (words[0] >= 0) & (words[0] < size - position) & tf.reduce_all(words[1] != [0, pixels])

    def following(position, words, noted, transparent):
        noted = tf.where(words[1] == exif, tf.stack([tf.minimum(position + 8, size), words[0]]), noted)
        transparent |= words[1] == transparency
        position = tf.minimum(position + 12 + words[0], size)
        return position, head(position), noted, transparent

    first = tf.minimum(8, size)
    start = first, head(first), tf.constant([0, 0]), tf.constant(False)
    _, _, noted, transparent = tf.while_loop(follows, following, start)
    orientation = tf.cond(
        noted[0] > 0, lambda: _orientation(tf.strings.substr(contents, noted[0], noted[1])), lambda: 1
    )
    return orientation, transparent


def _orientation(exif):
    """The tag of the first directory of EXIF's TIFF structure, scalar string tensor."""
    size = tf.cast(tf.strings.length(exif), tf.int64)
    # Zeros behind the end: a header that was cut reads as one that notes nothing.
    data = tf.cast(tf.concat([tf.io.decode_raw(exif, tf.uint8), tf.zeros([8], tf.uint8)], axis=0), tf.int64)
    little = tf.reduce_all(data[:2] == [0x49, 0x49])
    big = tf.reduce_all(data[:2] == [0x4D, 0x4D])

    def number(values, length):
        powers = [256**place for place in range(length)]
        powers = tf.where(little, tf.constant(powers, tf.int64), tf.constant(powers[::-1], tf.int64))
        return tf.reduce_sum(values * powers, axis=-1)

    start = number(data[4:8], 4)
    whole = (little | big) & (number(data[2:4], 2) == 42) & (start <= size)
    start = tf.where(whole, start, size)
    entries = tf.clip_by_value(number(data[start : start + 2], 2), 0, tf.maximum((size - start - 2) // 12, 0))
    table = tf.reshape(data[start + 2 : start + 2 + 12 * entries], [-1, 12])
    noted = (number(table[:, :2], 2) == _TAG) & (number(table[:, 2:4], 2) == _SHORT) & (number(table[:, 4:8], 4) == 1)
    value = tf.reduce_max(tf.concat([[0], tf.where(noted, number(table[:, 8:10], 2), 0)], axis=0))
    return tf.cast(tf.where((value >= 1) & (value <= 8), value, 1), tf.int32)


def exif_orientation(exif):
    """Return the orientation in EXIF that was read already.

    Not Pillow's: it reads damaged headers, types and XMP in another way than the graph does, and boxes would be rotated
    where the pixels are not.

    Args:
        exif: bytes, as Pillow's `image.info["exif"]`.

    Returns:
        Int, 1 to 8; 1 where there is none.
    """
    data = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "little", b"MM": "big"}.get(data[:2])
    if order is None or int.from_bytes(data[2:4], order) != 42:
        return 1
    start = int.from_bytes(data[4:8], order)
    entries = min(int.from_bytes(data[start : start + 2], order), max(0, (len(data) - start - 2) // 12))
    noted = 0
    for place in range(start + 2, start + 2 + 12 * entries, 12):
        tag, kind, count, value = (
            int.from_bytes(data[place + first : place + last], order)
            for first, last in ((0, 2), (2, 4), (4, 8), (8, 10))
        )
        if (tag, kind, count) == (_TAG, _SHORT, 1):
            noted = max(noted, value)
    return noted if 1 <= noted <= 8 else 1


def turn(image, orientation):
    """Rotate a stored image to how it is displayed, in the graph.

    Args:
        image: `[H, W, C]` tensor.
        orientation: scalar int32 tensor, 1 to 8.

    Returns:
        `[H, W, C]`, or `[W, H, C]` for 5 to 8.
    """

    def turned():
        upright = tf.cond(orientation >= 5, lambda: tf.transpose(image, [1, 0, 2]), lambda: image)
        rows = tf.reduce_any(orientation == [3, 4, 7, 8])
        columns = tf.reduce_any(orientation == [2, 3, 6, 7])
        return tf.raw_ops.Reverse(tensor=upright, dims=tf.stack([rows, columns, False]))

    return tf.cond(orientation > 1, turned, lambda: image)


def turn_boxes(boxes, orientation, width, height):
    """Rotate boxes on a stored image to how it is displayed.

    Args:
        boxes: `[n, 4]` array, xyxy in continuous pixels.
        orientation: int, 1 to 8.
        width: int, of the displayed image, in pixels.
        height: int, likewise.

    Returns:
        `[n, 4]` array.
    """
    x0, y0, x1, y1 = np.asarray(boxes).reshape(-1, 4).T
    if orientation >= 5:
        x0, y0, x1, y1 = y0, x0, y1, x1
    if orientation in (2, 3, 6, 7):
        x0, x1 = width - x1, width - x0
    if orientation in (3, 4, 7, 8):
        y0, y1 = height - y1, height - y0
    return np.stack([x0, y0, x1, y1], axis=-1)
