"""Detections in the formats of labels that have scores: YOLO's text files, VOC's XML and CSV tables."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable, Sequence

import numpy as np

from kerassl._errors import UserError
from kerassl.datasets.class_names import names_beside
from kerassl.datasets.formats.annotation import AnnotatedObject, ClassNumbers, ImageSize
from kerassl.datasets.formats.box_table import listed_in_table
from kerassl.datasets.formats.findings import Findings
from kerassl.datasets.formats.voc_annotation import NoAnnotationError, read_voc_annotation
from kerassl.datasets.formats.yolo import yolo_objects
from kerassl.datasets.images.files import files_inside
from kerassl.types import Detections

_ANY = 100_000  # classes, where their names are not known


def read_yolo(folder: pathlib.Path) -> dict[str, Detections]:
    """Read `labels` of lines `class cx cy w h score`, with the names in `classes.txt`.

    Args:
        folder: what holds `labels`.

    Returns:
        Dict from the path of each image below its folder, without suffix, to `Detections` whose boxes are shares of
        the image's sides. A file without class names gives class numbers.

    Raises:
        UserError: if an object has no score, or more than a tenth of the files or lines cannot be read.
    """
    names = names_beside(folder)

    def objects(path, findings):
        return yolo_objects(path, ImageSize(1, 1, 1), names or [""] * _ANY, findings)

    return _of_files(folder / "labels", ".txt", objects, names or None)


def read_voc(folder: pathlib.Path) -> dict[str, Detections]:
    """Read `Annotations` of XML files whose objects have a `<score>` or `<confidence>`; see `read_yolo`."""
    numbers = _numbers(folder)

    def objects(path, findings):
        try:
            return read_voc_annotation(path, numbers.number, findings).objects
        except NoAnnotationError as error:
            findings.broken(f"{path} {error}", label=True)
            return None

    return _of_files(folder / "Annotations", ".xml", objects, numbers)


def read_csv(file: pathlib.Path) -> dict[str, Detections]:
    """Read a table of boxes with a column `score`; see `read_yolo`."""
    findings, numbers = Findings(), _numbers(file.parent)
    found = {name: image.objects for name, image in listed_in_table(file, numbers, findings).items()}
    findings.report(objects=sum(map(len, found.values())))
    return _detections(found, numbers)


def _numbers(folder):
    """The names of a folder's `classes.txt`, to which those of detections are added."""
    numbers = ClassNumbers(None)
    numbers.known(names_beside(folder))
    return numbers


def _of_files(folder, suffix, objects: Callable[[str, Findings], list[AnnotatedObject] | None], names):
    files = files_inside(folder, (suffix,))
    if not files:
        raise UserError(f"{folder} holds no {suffix} files of predictions; `kerassl predict` writes them")
    findings, found = Findings(), {}
    for path in files:
        own = objects(path, findings)
        if own is not None:
            found[pathlib.PurePath(os.path.relpath(path, folder)).as_posix().removesuffix(suffix)] = own
    findings.report(files=len(files), objects=sum(map(len, found.values())))
    return _detections(found, names)


def _detections(objects, names: Sequence[str] | ClassNumbers | None) -> dict[str, Detections]:
    class_names, found = None if names is None else tuple(names), {}
    for image, own in objects.items():
        without = next((each.where for each in own if each.score is None), None)
        if without is not None:
            raise UserError(
                f"{without} has no score: it is a label and no detection; give what `kerassl predict` wrote"
            )
        own = [each for each in own if each.box is not None]
        boxes = np.array([each.box for each in own], np.float64).reshape(-1, 4)
        scores, labels = [each.score for each in own], [each.label for each in own]
        found[image] = Detections(boxes, np.array(scores, np.float64), np.array(labels, np.int32), class_names)
    return found
