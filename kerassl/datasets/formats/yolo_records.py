"""YOLO's text files: one object a line, in shares of the image's sides."""

import collections
import logging
import math
import os
import pathlib

from kerassl._errors import UserError
from kerassl._io.text import UnreadableError, text_of
from kerassl.datasets.class_names import check_class_names, check_there, names_file, report_left_out
from kerassl.datasets.formats.annotation import Thing, make_record, open_picture
from kerassl.datasets.formats.findings import Findings
from kerassl.datasets.formats.unicode_names import by_name, find_file
from kerassl.datasets.formats.yolo_classes import find_yolo_classes, find_yolo_names, yolo_classes
from kerassl.datasets.image_folder import image_files
from kerassl.datasets.subset import subset

log = logging.getLogger("kerassl")

_MAX_BYTES = 10_000_000  # of a file of labels
_UNREAD = "lines that cannot be read left out"


def yolo_records(
    images_dir,
    labels_dir=None,
    *,
    classes=None,
    fraction=None,
    count=None,
    stratified=True,
    seed=0,
    strict=False,
    allow_broken=False,
):
    """Reads images and their label files.

    A line is `class cx cy w h`, or `class x1 y1 x2 y2 x3 y3 …` for a polygon, which becomes its bounding box; all but
    the class are shares of the sides of the image as people see it (turned as its EXIF says). Lines that are neither
    are left out, as are boxes without an area; boxes that reach out of the image are clipped; each kind is counted and
    told in one line of the log, with file and line number. Images that cannot be opened are left out and named there
    one by one. An image without a label file has no objects; the number of such images is logged. If more
    than a tenth of the label files or of their lines cannot be read, that is an error.

    Args:
        images_dir: str or `pathlib.Path`. Folder of images, with all folders in it.
        labels_dir: str, `pathlib.Path` or None. The folder that holds `a/b.txt` for the image `a/b.jpg`. None takes
            `images_dir` with its last folder called `images` renamed `labels`, as in `traffic/images/train`; where no
            folder is called so, `images_dir` itself.
        classes: file of names, which numbers the classes; see `yolo_classes`. None looks for `data.yaml` or
            `classes.txt` in both folders and up to two above them. Or sequence of str, the classes to read; a class is
            its place in it. Where there is such a file they must be among its names, and objects of others are left
            out and counted in the log; where there is none they are the classes 0, 1, 2, ….
        fraction, count, stratified, seed: see `voc_records`; of the images.
        strict: bool. Stop at the first fault that would be left out or clipped.
        allow_broken: bool. Go on where more than a tenth of the labels cannot be read.

    Returns:
        List of `Record`, whose ids are paths below `images_dir`, as "a/b.jpg", sorted.

    Raises:
        UserError: if a folder or the names of the classes are missing, no image has a label file, no image can be
            opened, or too little can be read; with `strict`, for every fault.

    Example:
        >>> records = kerassl.datasets.yolo_records("traffic/images/train", classes="traffic/data.yaml")
    """
    images_dir = pathlib.Path(images_dir)
    if not os.path.isdir(images_dir):
        raise UserError(f"there is no folder {images_dir}; give the folder of the images")
    labels_dir = yolo_labels_dir(images_dir) if labels_dir is None else pathlib.Path(labels_dir)
    if not os.path.isdir(labels_dir):
        raise UserError(f"there is no folder {labels_dir}; give the folder of the label files as labels_dir")
    numbered, names = _classes(classes, labels_dir, images_dir)
    places = {name: place for place, name in enumerate(names)}
    found = {pathlib.Path(os.path.relpath(path, images_dir)).as_posix(): path for path in image_files(images_dir)}
    paths = by_name(found)
    files = {each: _label_file(labels_dir, each) for each in paths}
    labels = (lambda each: _first_fields(files[each])) if stratified else None
    chosen = subset(list(paths), fraction=fraction, count=count, seed=seed, labels=labels)
    without = [each for each in chosen if not os.path.lexists(files[each])]
    if len(without) == len(chosen):
        fact = f"none of {len(chosen)} images of {images_dir} has a label file, first {files[chosen[0]]}"
        raise UserError(
            f"{fact}; give the folder of the label files as labels_dir",
            f"{fact}; put the label files beside the images, or into a folder labels beside a folder images",
        )
    if without:
        log.warning("%d images without a label file taken as without objects, first %s", len(without), without[0])
    findings = Findings(strict, allow_broken)
    records, lines, others, empty = [], 0, collections.Counter(), set(without)
    for each in chosen:
        picture = open_picture(paths[each], findings)
        if picture is None:
            continue
        things = [] if each in empty else _things(files[each], picture, numbered, findings)
        if things is None:
            continue
        lines += len(things)
        others.update(numbered[thing.label] for thing in things if numbered[thing.label] not in places)
        wanted = [
            thing._replace(label=places[numbered[thing.label]]) for thing in things if numbered[thing.label] in places
        ]
        records.append(make_record(each, paths[each], picture, wanted, None, findings, files[each], names=names))
    if not records:
        raise UserError(
            f"none of the {len(chosen)} images of {images_dir} can be opened; the first: {findings.files[0]}"
        )
    findings.tell(len(chosen) - len(without), lines + len(findings.found.get(_UNREAD, ())))
    report_left_out(others, labels_dir)
    return records


def _classes(classes, labels_dir, images_dir):
    """The names by number, and those that are wanted."""
    if classes is None:
        names = find_yolo_classes(labels_dir, images_dir)
        return names, names
    if names_file(classes) is not None:
        names = yolo_classes(classes)
        return names, names
    names, file = check_class_names(classes), find_yolo_names(labels_dir, images_dir)
    if file is None:
        return names, names
    numbered = yolo_classes(file)
    check_there(names, numbered, file)
    return numbered, names


def _label_file(folder, image):
    name = pathlib.PurePosixPath(image).with_suffix(".txt")
    found = find_file(folder, str(name))
    if found is None and "images" in name.parts:  # the folder above images and labels is named
        place = len(name.parts) - 1 - name.parts[::-1].index("images")
        found = find_file(folder, os.path.join(*name.parts[:place], "labels", *name.parts[place + 1 :]))
    return found or os.path.join(folder, name)


def _first_fields(path):
    """The classes that a file of labels names, unread otherwise; what is wrong with it is told when it is chosen."""
    try:
        lines = text_of(path, _MAX_BYTES, errors="replace").split("\n")
    except UnreadableError:
        return frozenset()
    return frozenset(line.split()[0] for line in lines if line.strip())


def yolo_labels_dir(images_dir):
    """The folder of the label files that belongs to a folder of images, as `yolo_records` looks for it."""
    # From where a relative path begins: `train` in the folder `images` is `images/train`.
    parts = pathlib.Path(os.path.abspath(images_dir)).parts
    for place in reversed(range(len(parts))):
        if parts[place] == "images":
            folder = pathlib.Path(*parts[:place], "labels", *parts[place + 1 :])
            if os.path.isdir(folder):
                return folder
    return images_dir


def _things(path, picture, names, findings):
    """A file's objects, or None if it cannot be read."""
    try:
        # What is no text fails line by line.
        lines = text_of(path, _MAX_BYTES, errors="replace").split("\n")
    except UnreadableError as error:
        findings.broken(f"{path} {error}", label=True)
        return None
    found = []
    for number, line in enumerate(lines, start=1):
        fields = line.split()
        if not fields:
            continue
        where = f"{path}, line {number}: {line.strip()[:100]!r}"
        try:
            label, box = _parse(fields, len(names))
        except ValueError as error:
            findings.add(_UNREAD, f"{where} {error}", unread=True)
            continue
        x0, y0, x1, y1 = box
        scaled = x0 * picture.width, y0 * picture.height, x1 * picture.width, y1 * picture.height
        found.append(Thing(label, scaled, False, where))
    return found


def _parse(fields, classes):
    """Class and box, xyxy in shares; `ValueError` says what is wrong."""
    try:
        label, *values = map(float, fields)
    except ValueError:
        raise ValueError("does not hold numbers alone") from None
    if not all(map(math.isfinite, (label, *values))):
        raise ValueError("holds a number that is not finite")
    if label != int(label) or not 0 <= label < classes:
        raise ValueError(f"names the class {fields[0][:20]}, but the classes are 0 to {classes - 1}")
    if len(values) == 4:
        x, y, width, height = values
        return int(label), (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    if len(values) < 6 or len(values) % 2:
        raise ValueError(f"holds {len(fields)} numbers; 5 are a box, 7, 9, 11, … a polygon")
    return int(label), (min(values[::2]), min(values[1::2]), max(values[::2]), max(values[1::2]))
