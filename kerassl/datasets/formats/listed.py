"""Files that list images by name with their boxes, in absolute pixels: CSV tables, CVAT's XML, lines of boxes."""

import math
import os
import pathlib
import typing

from kerassl._errors import UserError
from kerassl._io.file_names import nfc
from kerassl.datasets.class_names import read_class_names
from kerassl.datasets.formats.annotation import AnnotatedObject, ClassNumbers, box_text, make_record, read_size
from kerassl.datasets.formats.findings import Findings
from kerassl.datasets.formats.places import check_sizes, folder_of_names, locate, name_endings
from kerassl.datasets.images.files import by_file_name

_UNREAD = "rows that cannot be read left out"


class Row(typing.NamedTuple):
    """An image, and one of its boxes or none.

    Attributes:
        place: str, the file and where the row is in it, for messages.
        text: str, what is there, for messages.
        name: str, the image as it is named.
        label: str, the name of the box's class; empty where there is none.
        corners: sequence of the numbers xyxy as text or float; empty for an image without a box.
        size: tuple of the stated width and height, or None.
        problem: str, why the box cannot be read, in words that go after the text, or None.
        score: text of the score of a detection; empty of a label.
    """

    place: str
    text: str
    name: str
    label: str = ""
    corners: typing.Sequence = ()
    size: tuple | None = None
    problem: str | None = None
    score: str = ""


class _Image:
    """Rows of a file for one image."""

    def __init__(self, place):
        self.place, self.objects, self.size = place, [], None


def read_listed(files, rows, official, accepted, images, class_names, strict, allow_broken, others=()):
    """Read files that list images by name.

    Args:
        files: list of paths.
        rows: function from a path, and the `Findings` that take what is left out, to an iterable of `Row`.
        official: sequence of str, the names to number by where the files name no others.
        accepted: str, what a file has to be, for messages.
        images: folder of the images, or None to look for it beside each file.
        class_names, strict, allow_broken: see `DetectionDataset.from_voc`.
        others: list of paths of files that are not read, but name classes too.

    Returns:
        List of `Record`, and list of class names.

    Raises:
        UserError: if a file is no such list, no image of it is found, or too little can be read.
    """
    wanted = None if class_names is None else read_class_names(class_names)
    findings, numbers, objects, named, records = Findings(strict, allow_broken), ClassNumbers(wanted), 0, 0, []
    root = os.path.commonpath([os.path.dirname(os.path.abspath(file)) for file in files])
    for file in map(pathlib.Path, files):
        found = listed_images(file, rows(file, findings), accepted, numbers, findings)
        objects += sum(len(image.objects) for image in found.values())
        named += len(found)
        inner = pathlib.PurePath(os.path.relpath(file, root)).with_suffix("")
        prefix = f"{inner.as_posix()}/" if len(files) > 1 else ""
        records += _records(file, found, images, findings, tuple(numbers), prefix)
    if not records:
        first = findings.files[0] if findings.files else next((places[0] for places in findings.found.values()), "")
        raise UserError(f"none of the images of {files[0]} can be opened; the first: {first}")
    findings.report(images=named, objects=objects + len(findings.found.get(_UNREAD, ())))
    for file in map(pathlib.Path, others if wanted is None else ()):
        unheard = Findings()
        listed_images(file, rows(file, unheard), accepted, numbers, unheard)
    records, names = numbers.finish(records, files[0], official)
    return by_file_name(records), names


def listed_images(file, rows, accepted, numbers, findings):
    """Return the images of a file: dict of name to what has their `objects`.

    Args:
        file: path, for messages.
        rows: iterable of `Row`.
        accepted: see `read_listed`.
        numbers: `ClassNumbers`.
        findings: `Findings`, which takes what is left out.
    """
    found, largest = {}, 0
    for row in rows:
        where = f"{row.place}: {row.text[:100]!r}"
        if not row.name or "\0" in row.name:
            findings.add(_UNREAD, f"{where} names no image", unread=True)
            continue
        image = found.setdefault(row.name, _Image(row.place))
        image.size = row.size or image.size
        label = nfc(row.label)
        if row.problem is None and not label and not any(row.corners):
            continue
        box = _numbers(row.corners)
        problem = row.problem or (None if box else "has no four numbers as its box")
        problem = problem or (None if label else "names no class")
        if problem is not None:
            findings.add(_UNREAD, f"{where} {problem}", unread=True)
            continue
        largest = max(largest, *box)
        number = numbers.number(label)
        if number is not None:
            where = f"{row.place}, {label[:100]} {box_text(box)}"
            score = _numbers([row.score] * 4) or (None,)
            image.objects.append(AnnotatedObject(number, box, False, where, score=score[0]))
    if not found:
        raise UserError(f"{file} holds no image that can be read; {accepted}")
    if 0 < largest <= 1:
        raise UserError(f"{file} has boxes in shares of the image, from 0 to {largest:g}; {accepted}")
    return found


def _numbers(corners):
    """The corners of a box, or None for what is no box."""
    try:
        box = tuple(map(float, corners))
    except ValueError:
        return None
    return box if len(box) == 4 and all(math.isfinite(each) and abs(each) < 1e9 for each in box) else None


def _records(file, found, images, findings, names, prefix):
    endings = name_endings(found)
    folder = folder_of_names(file, list(found), endings) if images is None else pathlib.Path(images)
    if not os.path.isdir(folder):
        raise UserError(f"there is no folder {folder}; give the folder of the images that {file} names")
    records, before = [], len(findings.sizes)
    for name, image in found.items():
        path, problem = locate(folder, name, endings)
        if path is None:
            findings.missing(problem, f"{image.place}: {name}")
            continue
        size = read_size(path, findings)
        if size is not None:
            own = make_record(prefix + name, path, size, image.objects, image.size, findings, image.place, names)
            records.append(own)
    if images is None:
        check_sizes(file, folder, findings.sizes[before:], len(records))
    return records
