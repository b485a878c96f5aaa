"""Detections in the formats of labels that have scores: YOLO's text files, VOC's XML and CSV tables."""

from __future__ import annotations

import math
import os
import pathlib
from collections.abc import Callable, Sequence

import numpy as np

from kerassl._errors import UserError
from kerassl.datasets.class_names import names_beside
from kerassl.datasets.formats.annotation import AnnotatedObject, ClassNumbers, ImageSize, box_text, is_inverted
from kerassl.datasets.formats.box_table import listed_in_table
from kerassl.datasets.formats.findings import Findings
from kerassl.datasets.formats.voc_annotation import NoAnnotationError, read_voc_annotation
from kerassl.datasets.formats.yolo import yolo_objects
from kerassl.datasets.images.files import files_inside
from kerassl.types import Detections

_ANY = 100_000  # classes, where their names are not known
_FARTHEST = 1.5  # sides of an image: beyond, boxes are in pixels
_WANTED = "give what `kerassl predict` wrote"


class _Refusals(Findings):
    """Refuse what is left out of labels: a program wrote the predictions, and without some their scores are others."""

    def broken(self, message, label=False):
        raise UserError(f"{' '.join(message.splitlines())}; {_WANTED}")

    def add(self, kind, where, unread=False):
        if unread:
            self.broken(where)


def read_yolo(folder: pathlib.Path, classes: int = _ANY) -> dict[str, Detections]:
    """Read `labels` of lines `class cx cy w h score`, with the names in `classes.txt`.

    Args:
        folder: what holds `labels`.
        classes: int, how many there are, where the folder does not name them.

    Returns:
        Dict from the path of each image below its folder, without suffix, to `Detections` whose boxes are shares of
        the image's sides. A file without class names gives class numbers.

    Raises:
        UserError: with the file and line, if a detection cannot be read, has no score or an unknown class, or its box
            is inverted or in pixels.
    """
    names = names_beside(folder)

    def objects(path):
        found = yolo_objects(path, ImageSize(1, 1, 1), names or [""] * classes, _Refusals())
        far = next((each.where for each in found if max(each.box) > _FARTHEST), None)
        if far is not None:
            raise UserError(f"{far} is in pixels; YOLO holds shares of the image: divide by its width and height")
        return found

    return _of_files(folder / "labels", ".txt", objects, names)


def read_voc(folder: pathlib.Path) -> dict[str, Detections]:
    """Read `Annotations` of XML files whose objects have a `<score>` or `<confidence>`; see `read_yolo`."""
    known, numbers = _numbers(folder)

    def objects(path):
        try:
            return read_voc_annotation(path, numbers.number, _Refusals()).objects
        except NoAnnotationError as error:
            raise UserError(f"{path} {error}") from None

    return _of_files(folder / "Annotations", ".xml", objects, known, numbers)


def read_csv(file: pathlib.Path) -> dict[str, Detections]:
    """Read a table of boxes with a column `score`; see `read_yolo`."""
    known, numbers = _numbers(file.parent)
    images = listed_in_table(file, numbers, _Refusals())
    return _detections({name: image.objects for name, image in images.items()}, known, numbers)


def _numbers(folder):
    """The names of a folder's `classes.txt`, and the numbers of these or, without the file, of those in detections."""
    known, numbers = names_beside(folder), ClassNumbers(None)
    numbers.known(known)
    return known, numbers


def _of_files(folder, suffix, objects: Callable[[str], list[AnnotatedObject]], known, numbers=None):
    files = files_inside(folder, (suffix,))
    if not files:
        raise UserError(f"{folder} holds no {suffix} files of predictions; `kerassl predict` writes them")
    found = {
        pathlib.PurePath(os.path.relpath(path, folder)).as_posix().removesuffix(suffix): objects(path) for path in files
    }
    return _detections(found, known, numbers)


def _detections(images, known: Sequence[str], numbers: ClassNumbers | None) -> dict[str, Detections]:
    names, found = tuple(numbers or known) or None, {}
    for image, own in images.items():
        for each in own:
            _check(each, known)
        boxes = np.array([each.box for each in own], np.float64).reshape(-1, 4)
        scores, labels = [each.score for each in own], [each.label for each in own]
        found[image] = Detections(boxes, np.array(scores, np.float64), np.array(labels, np.int32), names)
    return found


def _check(detection, known):
    where = detection.where
    if detection.score is None:
        raise UserError(f"{where} has no score: it is a label and no detection; {_WANTED}")
    if not math.isfinite(detection.score):
        raise UserError(f"{where} has the score {detection.score}; give a number")
    if known and detection.label >= len(known):
        raise UserError(f"{where} is of a class that is not in classes.txt, which has {len(known)}; add it there")
    if is_inverted(detection.box):
        raise UserError(f"{where} has the inverted box {box_text(detection.box)}; a box ends after it begins")
