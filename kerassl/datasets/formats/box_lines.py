"""Lines of boxes, one image a line, as Roboflow's `_annotations.txt`: `file x1,y1,x2,y2,class ...`, in pixels."""

import os
import re

from kerassl._io.text import read_text
from kerassl.datasets.class_names import read_class_names
from kerassl.datasets.formats.listed import Row, read_listed
from kerassl.datasets.formats.yolo import numbered_classes
from kerassl.datasets.images.files import SUFFIXES

_NAMES = ("_classes.txt", "classes.txt")
_NUMBER = r"[-+]?\d+(?:\.\d*)?"
_BOX = re.compile(rf"\s+({_NUMBER}(?:,{_NUMBER}){{3}}),(\d+)\s*$")
_BROKEN = re.compile(r"\s+[^\s,]*(?:,[^\s,]*)+$")
_ACCEPTED = "give lines of an image's file and its boxes, as photo.jpg 10,20,50,60,0, in pixels"


def is_box_lines(start):
    """Return whether the beginning of a text is one of lines of boxes: str."""
    lines = [line for line in start.split("\n")[:50] if "," in line]
    count = sum(_BOX.search(line) is not None for line in lines)
    return count > 0 and 2 * count >= len(lines)


def read_box_lines(files, images, class_names, strict, allow_broken, others=()):
    """Read lines of boxes; see `read_listed`. Classes are numbers, whose names are in a file beside them."""
    folder = os.path.dirname(files[0])
    file = next((each for name in _NAMES if os.path.isfile(each := os.path.join(folder, name))), None)
    wanted = class_names if class_names is None or file is None else read_class_names(class_names)
    names, _ = numbered_classes(wanted, file, files[0])

    def rows(path, findings):
        for number, line in enumerate(read_text(path, _ACCEPTED, 1_000_000_000).split("\n"), 1):
            boxes, rest = [], line.rstrip()
            while (found := _BOX.search(rest) or _broken(rest)) is not None:
                boxes.append(found.groups())
                rest = rest[: found.start()]
            place, name = f"{path}, line {number}", rest.strip()
            if name:
                yield Row(place, line, name)
            if () in boxes:
                yield Row(place, line, name, problem="has a box that is no four numbers and a class")
            for corners, label in reversed([each for each in boxes if each]):
                known = int(label) < len(names)
                problem = None if known else f"names the class {label}, but the classes are 0 to {len(names) - 1}"
                yield Row(place, line, name, names[int(label)] if known else "", corners.split(","), None, problem)

    return read_listed(files, rows, names, _ACCEPTED, images, wanted, strict, allow_broken, others)


def _broken(text):
    """The last word where it is neither a box nor the end of an image's name, or None."""
    return None if text.lower().endswith(SUFFIXES) else _BROKEN.search(text)
