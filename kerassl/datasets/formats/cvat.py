"""CVAT's own XML: `<annotations>` with an `<image>` for each image."""

import math
import os
import pathlib

from kerassl._errors import UserError
from kerassl._io.file_names import nfc
from kerassl.datasets.formats.listed import Row, read_listed
from kerassl.datasets.formats.places import split_name
from kerassl.datasets.formats.voc_annotation import NoAnnotationError, parse_xml

_ACCEPTED = "export the labels as CVAT for images"
_MOST = 1_000_000_000  # bytes
_OTHER = "shapes that have no box left out"


class CvatFile:
    """A file of CVAT for images.

    Args:
        path: str or `pathlib.Path`.

    Attributes:
        names: list of str, the labels in their order.
        splits: tuple of str, of the subsets that the images of a project are in.

    Raises:
        UserError: if it cannot be read, or is one of a video, whose frames are no image files.
    """

    def __init__(self, path):
        self.path = pathlib.Path(path)
        try:
            root = parse_xml(path, "annotations", _MOST)
        except NoAnnotationError as error:
            raise UserError(f"{path} {error}; {_ACCEPTED}") from None
        self._images = root.findall("image")
        if not self._images:
            has = "tracks in a video" if root.find("track") is not None else "no <image>"
            raise UserError(f"{path} holds {has}; {_ACCEPTED}")
        labels = [each for each in root.iter("label") if each.findtext("parent") is None]
        self.names = list(dict.fromkeys(nfc((each.findtext("name") or "").strip()) for each in labels))
        found = {split_name(image.get("subset", "")) for image in self._images}
        self.splits = () if None in found else tuple(each for each in ("train", "val", "test") if each in found)

    def rows(self, split, images, findings):
        """Yield the `Row`s of a split or of all images."""
        folders = [self.path.parent / "images", self.path.parent] if images is None else [images]
        for image in self._images:
            name, subset = image.get("name", ""), image.get("subset", "")
            if split is not None and split_name(subset) != split:
                continue
            if subset and any(os.path.isdir(os.path.join(folder, subset)) for folder in folders):
                name = f"{subset}/{name}"  # where a project's export has it
            place, size = f"{self.path}, image {name[:100]}", (image.get("width"), image.get("height"))
            size = None if None in size else size
            yield Row(place, "", name, size=size)
            for shape in image:
                if shape.tag not in _SHAPES:
                    if shape.tag != "tag":  # a class of the whole image
                        findings.add(_OTHER, f"{place}: <{shape.tag[:40]}> {shape.get('label', '')[:100]}")
                    continue
                text = f"<{shape.tag}> {dict(shape.attrib)}"
                try:
                    corners = _SHAPES[shape.tag](shape)
                except (KeyError, ValueError):
                    yield Row(place, text, name, problem="has no four numbers as its box")
                    continue
                yield Row(place, text, name, shape.get("label", "").strip(), corners)


def read_cvat(files, split, names, *given):
    """Read files of CVAT for images.

    Args:
        files: list of `CvatFile`.
        split: str, one of their own splits, or None.
        names: sequence of str, the labels in their order.
        *given: see `read_listed`.

    Returns:
        List of `Record`, and list of class names.
    """
    by_path = {file.path: file for file in files}

    def rows(path, findings):
        return by_path[path].rows(split, given[0], findings)

    return read_listed(list(by_path), rows, names, _ACCEPTED, *given)


def _box(shape):
    x0, y0, x1, y1 = box = tuple(float(shape.attrib[key]) for key in ("xtl", "ytl", "xbr", "ybr"))
    angle = math.radians(float(shape.get("rotation", 0)))
    if not angle:
        return box
    sine, cosine = abs(math.sin(angle)), abs(math.cos(angle))  # it is rotated about its center
    x, y, half_width, half_height = (x0 + x1) / 2, (y0 + y1) / 2, (x1 - x0) / 2, (y1 - y0) / 2
    wide, high = half_width * cosine + half_height * sine, half_width * sine + half_height * cosine
    return x - wide, y - high, x + wide, y + high


def _polygon(shape):
    points = [tuple(map(float, point.split(","))) for point in shape.attrib["points"].split(";")]
    xs, ys = zip(*points, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def _ellipse(shape):
    x, y, wide, high = (float(shape.attrib[key]) for key in ("cx", "cy", "rx", "ry"))
    angle = math.radians(float(shape.get("rotation", 0)))
    sine, cosine = math.sin(angle), math.cos(angle)
    wide, high = math.hypot(wide * cosine, high * sine), math.hypot(wide * sine, high * cosine)
    return x - wide, y - high, x + wide, y + high


def _mask(shape):
    left, top, width, height = (float(shape.attrib[key]) for key in ("left", "top", "width", "height"))
    return left, top, left + width, top + height


_SHAPES = {"box": _box, "polygon": _polygon, "ellipse": _ellipse, "mask": _mask}
