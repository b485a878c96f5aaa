"""A small VOCdevkit of noise that a test may spoil, and image files."""

import numpy as np
import PIL.Image
import pytest


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

    def add(self, image_id, things=None, *, split="train", height=40, width=60, told=None):
        _save(self.folder / "JPEGImages" / f"{image_id}.jpg", height, width)
        told_width, told_height = told or (width, height)
        self.annotate(
            image_id,
            f"<annotation><size><width>{told_width}</width><height>{told_height}</height></size>"
            f"{_thing() if things is None else things}</annotation>",
        )
        with (self.folder / "ImageSets" / "Main" / f"{split}.txt").open("a") as file:
            file.write(f"{image_id}\n")

    def annotate(self, image_id, text):
        (self.folder / "Annotations" / f"{image_id}.xml").write_text(text)


@pytest.fixture
def devkit(tmp_path):
    return _Devkit(tmp_path / "VOCdevkit")
