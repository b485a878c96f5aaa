"""Why an image file cannot be read, in words."""

import os
import pathlib
import re
import stat

import PIL.Image

from kerassl.datasets.images.decoding import FORMATS, MAX_PIXELS
from kerassl.datasets.images.shard_index import shard_place

MAX_BYTES = 2**30  # more than `MAX_PIXELS` take in any format, uncompressed with 16 bits a color

# What files that are called images turn out to be, by what they begin with.
_FOREIGN = [
    (rb"II\*\0|MM\0\*|II\+\0|MM\0\+", "a TIFF or camera raw image", "convert it to JPEG or PNG"),
    (rb"....ftyp(heic|heix|heim|heis|hevc|hevx|mif1|msf1)", "a HEIC image", "convert it to JPEG"),
    (rb"....ftyp(avif|avis)", "an AVIF image", "convert it to JPEG or PNG"),
    (rb"....ftyp", "a video", "extract images from it"),
    (rb"\xff\x0a|\0\0\0\x0cJXL ", "a JPEG XL image", "convert it to JPEG"),
    (rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", "a JPEG 2000 image", "convert it to JPEG"),
    (rb"8BPS", "a Photoshop file", "save it as JPEG or PNG"),
    (rb"\0\0\x01\0", "an icon", "convert it to PNG"),
    (rb"%PDF", "a PDF", "extract the images from it"),
    (rb"P[1-7]\s", "a Netpbm image", "convert it to PNG"),
    (rb"\s*(<\?xml.*|<!--.*)?(<!DOCTYPE svg.*)?<svg", "an SVG drawing", "render it to PNG"),
    (rb"\s*(<!doctype html|<html)", "a web page", "download the image again"),
    (rb"version https://git-lfs", "a pointer of Git LFS", "fetch the file with git lfs pull"),
    (rb"PK\x03\x04|\x1f\x8b|7z\xbc\xaf|Rar!", "an archive", "unpack it"),
]


_SPECIAL = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def never_read(path):
    """Return why a path is not even opened: it is no ordinary file, or larger than any image.

    Args:
        path: str or `pathlib.Path`.

    Returns:
        Str that goes after the path's name, or None.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError):  # nothing is there, or no path can be like this
        return None
    special = _SPECIAL.get(stat.S_IFMT(status.st_mode))
    if special is not None:
        return f"is {special} and no file"
    if status.st_size > MAX_BYTES:
        return f"has {_rounded(status.st_size)} bytes; {_rounded(MAX_BYTES)} are allowed"
    return None


def fault(path, max_pixels=MAX_PIXELS):
    """Return why a file cannot be decoded, in words that go after its name.

    Args:
        path: str or `pathlib.Path`, of a file or of an image in a shard.
        max_pixels: int. The limit that `decode` was given.

    Returns:
        Str, as `"is empty (0 bytes)"`.
    """
    place = shard_place(path)
    if place is not None:
        if not pathlib.Path(place[0]).is_file():
            return "is not there"
        return "is damaged: its checksum is wrong (start write_shards again, which repairs it)"
    path, reason = pathlib.Path(path), never_read(path)
    if reason is not None:
        return reason
    try:
        if not path.is_file():
            return "is a link to nothing" if path.is_symlink() else "is not there"
        if path.stat().st_size == 0:
            return "is empty (0 bytes)"
        with path.open("rb") as file:
            head = file.read(1024)
    except (OSError, ValueError) as error:  # no right to read it, or a name that cannot be
        return f"cannot be opened ({getattr(error, 'strerror', None) or error})"
    for beginning, what, remedy in _FOREIGN:
        if re.match(beginning, head, re.DOTALL | re.IGNORECASE):
            return f"is {what}, which is not read: {remedy}"
    try:
        with PIL.Image.open(path, formats=FORMATS) as image:
            pixels = image.width * image.height
            if not pixels:
                return f"has no pixels ({image.width}x{image.height})"
            if pixels <= max_pixels:
                image.load()
                return f"cannot be decoded by TensorFlow (it is {image.format}, {image.mode})"
    except PIL.UnidentifiedImageError:
        return "is no image that can be read"
    except PIL.Image.DecompressionBombError as error:
        pixels = int(re.search(r"\d+", str(error))[0])
    except Exception as error:  # Pillow's decoders raise many kinds
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        cut = "it is truncated: " if is_cut(path) else ""
        return f"cannot be decoded ({cut}{reason})"
    return f"would have {_rounded(pixels)} pixels; {_rounded(max_pixels)} are allowed"


def is_cut(path):
    """Return whether the end of a JPEG, PNG, GIF or WebP is missing, which shows without decoding it.

    Args:
        path: str or `pathlib.Path` of a file.
    """
    with open(path, "rb") as file:
        head, size = file.read(12), file.seek(0, os.SEEK_END)
        file.seek(max(size - 64, 0))
        tail = file.read()
        if head.startswith(b"\xff\xd8"):
            if b"\xff\xd9" in tail:
                return False
            file.seek(0)
            contents = file.read()  # some cameras write more behind the end
            return b"\xff\xd9" not in contents[contents.rfind(b"\xff\xda") :]
    if head.startswith(b"\x89PNG"):
        return b"IEND" not in tail
    if head.startswith(b"RIFF"):
        return size < 8 + int.from_bytes(head[4:8], "little")
    return head.startswith(b"GIF8") and b"\x3b" not in tail


def _rounded(count):
    for unit, name in ((10**9, " billion"), (10**6, " million")):
        if count >= unit:
            return f"{count / unit:.3g}{name}"
    return str(count)
