"""A small VOCdevkit of noise that a test may spoil, and image files."""

import struct

import numpy as np
import PIL.Image
import pytest

from kerassl.datasets import read_image


def _save(path, height=40, width=60, seed=0):
    """Writes an image of noise and gives its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng([seed, height, width]).integers(0, 256, (height, width, 3), np.uint8)
    PIL.Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def save_image():
    """`save_image(path, height=40, width=60, seed=0)`."""
    return _save


def _thing(name="dog", box=(11, 6, 30, 25), extra=""):
    corners = "".join(f"<{tag}>{value}</{tag}>" for tag, value in zip(("xmin", "ymin", "xmax", "ymax"), box))
    return f"<object><name>{name}</name>{extra}<bndbox>{corners}</bndbox></object>"


@pytest.fixture
def thing():
    """The XML of an object: `thing(name="dog", box=(xmin, ymin, xmax, ymax), extra="")`."""
    return _thing


class _Devkit:
    """A VOCdevkit that grows: `add` writes an image, its annotation and its line in a split."""

    def __init__(self, root):
        self.root = root
        self.folder = root / "VOC2007"
        for name in ("JPEGImages", "Annotations", "ImageSets/Main"):
            (self.folder / name).mkdir(parents=True)

    def add(self, image_id, things=None, *, split="train", height=40, width=60, stated_size=None):
        _save(self.folder / "JPEGImages" / f"{image_id}.jpg", height, width)
        stated_width, stated_height = stated_size or (width, height)
        self.annotate(
            image_id,
            f"<annotation><size><width>{stated_width}</width><height>{stated_height}</height></size>"
            f"{_thing() if things is None else things}</annotation>",
        )
        with (self.folder / "ImageSets" / "Main" / f"{split}.txt").open("a") as file:
            file.write(f"{image_id}\n")

    def annotate(self, image_id, text):
        (self.folder / "Annotations" / f"{image_id}.xml").write_text(text)


@pytest.fixture
def devkit(tmp_path):
    return _Devkit(tmp_path / "VOCdevkit")


def _exif(orientation, order=">"):
    """EXIF with another tag before the orientation and one after it; `order` as of `struct`."""
    value = struct.pack(order + "HH", orientation, 0)
    entries = [(0x10F, 2, 4, b"abc\0"), (0x112, 3, 1, value), (0x11A, 4, 1, b"1234")]
    table = b"".join(struct.pack(order + "HHI", *entry[:3]) + entry[3] for entry in entries)
    start = b"II*\0\x08\0\0\0" if order == "<" else b"MM\0*\0\0\0\x08"
    return b"Exif\0\0" + start + struct.pack(order + "H", len(entries)) + table + b"\0\0\0\0"


@pytest.fixture
def exif():
    """Bytes of EXIF: `exif(orientation, order=">")`."""
    return _exif


@pytest.fixture
def save_turned():
    """`save_turned(path, orientation, box, height=40, width=60)`: a stored image that is white in one box."""

    def save(path, orientation, box, height=40, width=60):
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.zeros([height, width, 3], np.uint8)
        pixels[box[1] : box[3], box[0] : box[2]] = 255
        PIL.Image.fromarray(pixels).save(path, exif=_exif(orientation))

    return save


@pytest.fixture
def white_box():
    """The box that is white in an image as `read_image` gives it: `white_box(path)`."""

    def box(path):
        white = read_image(path)[..., 0] > 127
        rows, columns = white.any(axis=1).nonzero()[0], white.any(axis=0).nonzero()[0]
        return [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]

    return box
