"""YOLO's text files: one object a line, in shares of the image's sides."""

import collections
import logging
import math
import os
import pathlib

from kerassl._display import printable
from kerassl._errors import UserError
from kerassl._io.file_names import by_name, find_file
from kerassl._io.text import UnreadableError, text_of
from kerassl.datasets.class_names import (
    FILES,
    check_class_names,
    check_there,
    names_file,
    read_class_names,
    report_left_out,
)
from kerassl.datasets.formats.annotation import AnnotatedObject, make_record, read_size
from kerassl.datasets.formats.findings import Findings
from kerassl.datasets.images.files import by_file_name, image_files

log = logging.getLogger("kerassl")

_MAX_BYTES = 10_000_000  # of a file of labels
_UNREAD = "lines that cannot be read left out"


def read_yolo(images_dir, labels_dir, class_names, strict, allow_broken):
    """Read images and YOLO's label files; see `DetectionDataset.from_yolo`.

    Returns:
        List of `Record`, and list of class names.
    """
    images_dir = pathlib.Path(images_dir)
    if not os.path.isdir(images_dir):
        raise UserError(f"there is no folder {images_dir}; give the folder of the images")
    labels_dir = _labels_dir(images_dir) if labels_dir is None else pathlib.Path(labels_dir)
    if not os.path.isdir(labels_dir):
        raise UserError(f"there is no folder {labels_dir}; give the folder of the label files as labels_dir")
    file = find_names(labels_dir, images_dir)
    found = {pathlib.Path(os.path.relpath(path, images_dir)).as_posix(): path for path in image_files(images_dir)}
    pairs = {each: (path, _label_file(labels_dir, each)) for each, path in by_name(found).items()}
    return read_pairs(pairs, file, labels_dir, class_names, strict, allow_broken)


def read_pairs(pairs, names_file, source, class_names, strict, allow_broken):
    """Read images and their label files.

    Args:
        pairs: dict from image id to the paths of the image and of its label file, which need not be there.
        names_file: the file of class names, or None.
        source: what has the labels, for messages.
        class_names, strict, allow_broken: see `DetectionDataset.from_yolo`.

    Returns:
        List of `Record`, and list of class names.
    """
    numbered, names = numbered_classes(class_names, names_file, source)
    places = {name: place for place, name in enumerate(names)}
    without = sorted(each for each, (_, file) in pairs.items() if not os.path.lexists(file))
    if len(without) == len(pairs):
        fact = f"none of {len(pairs)} images of {source} has a label file, first {pairs[without[0]][1]}"
        raise UserError(
            f"{fact}; give the folder of the label files as labels_dir",
            f"{fact}; put the label files beside the images, or into a folder labels beside a folder images",
        )
    if without:
        log.warning("%d images without a label file taken as without objects, first %s", len(without), without[0])
    findings, scored = Findings(strict, allow_broken), []
    records, lines, others, empty = [], 0, collections.Counter(), set(without)
    for each, (path, file) in sorted(pairs.items()):
        size = read_size(path, findings)
        if size is None:
            continue
        objects = [] if each in empty else yolo_objects(file, size, numbered, findings)
        if objects is None:
            continue
        scored += [one.where for one in objects if one.score is not None]
        lines += len(objects)
        others.update(numbered[one.label] for one in objects if numbered[one.label] not in places)
        wanted = [one._replace(label=places[numbered[one.label]]) for one in objects if numbered[one.label] in places]
        records.append(make_record(each, path, size, wanted, None, findings, file, names))
    if not records:
        raise UserError(f"none of the {len(pairs)} images of {source} can be opened; the first: {findings.files[0]}")
    findings.report(len(pairs) - len(without), len(pairs), lines + len(findings.found.get(_UNREAD, ())))
    report_left_out(others, source)
    if scored:
        log.warning("%d boxes read without their confidence, the sixth number: %s", len(scored), printable(scored[0]))
    return by_file_name(records), names


def numbered_classes(wanted, file, source):
    """Return the names of classes that labels have as numbers: all in their order, and those that are wanted.

    Args:
        wanted: see `DetectionDataset.from_yolo`.
        file: the file of class names, or None.
        source: what has the labels, for messages.
    """
    if wanted is None and file is None:
        fact = f"there is no data.yaml or classes.txt in {source} or above it"
        raise UserError(
            f"{fact}; give class_names=[…] or their file", f"{fact}; give --classes, names or a file of them"
        )
    if wanted is None or names_file(wanted) is not None:
        names = read_class_names(file if wanted is None else wanted)
        return names, names
    names = check_class_names(wanted)
    if file is None:
        return names, names
    numbered = read_class_names(file)
    check_there(names, numbered, file)
    return numbered, names


def find_names(*folders):
    """Return the file of class names in one of the folders or up to two above, or None."""
    for folder in folders:
        place = pathlib.Path(os.path.abspath(folder))
        for each in (place, *place.parents[:2]):
            for name in FILES:
                if os.path.isfile(each / name):
                    return each / name
    return None


def label_of(image):
    """Return the path of an image's label file: in the folder `labels` for `images`, or beside the image.

    Args:
        image: str.

    Returns:
        Str. The file need not be there.
    """
    folder, name = os.path.split(os.path.splitext(image)[0] + ".txt")
    folders = [*_labels_dirs(folder)[:1], folder]
    return next(filter(None, (find_file(each, name) for each in folders)), os.path.join(folders[0], name))


def _label_file(folder, image):
    name = pathlib.PurePosixPath(image).with_suffix(".txt")
    found = find_file(folder, str(name))
    if found is None:  # the folder above images and labels may be named
        found = next(filter(None, (find_file(folder, str(each)) for each in _labels_dirs(name)[:1])), None)
    return found or os.path.join(folder, name)


def _labels_dir(images_dir):
    """The folder of the label files that belongs to a folder of images."""
    # From where a relative path begins: `train` in the folder `images` is `images/train`.
    return next(filter(os.path.isdir, _labels_dirs(os.path.abspath(images_dir))), images_dir)


def _labels_dirs(path):
    """A path with each of its folders called `images` or `JPEGImages`, the last one first, renamed `labels`."""
    parts = pathlib.PurePath(path).parts
    places = [place for place, part in enumerate(parts) if part in ("images", "JPEGImages")]
    return [pathlib.PurePath(*parts[:place], "labels", *parts[place + 1 :]) for place in reversed(places)]


def yolo_objects(path, size, names, findings):
    """Return the objects of a file: list of `AnnotatedObject`, or None if it cannot be read."""
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
            label, box, score = _parse(fields, len(names))
        except ValueError as error:
            findings.add(_UNREAD, f"{where} {error}", unread=True)
            continue
        x0, y0, x1, y1 = box
        scaled = x0 * size.width, y0 * size.height, x1 * size.width, y1 * size.height
        found.append(AnnotatedObject(label, scaled, False, where, score=score))
    return found


def _parse(fields, classes):
    """Class, box, xyxy in shares, and score or None; `ValueError` says what is wrong."""
    try:
        label, *values = map(float, fields)
    except ValueError:
        raise ValueError("does not hold numbers alone") from None
    if not all(map(math.isfinite, (label, *values))):
        raise ValueError("holds a number that is not finite")
    if label != int(label) or not 0 <= label < classes:
        raise ValueError(f"names the class {fields[0][:20]}, but the classes are 0 to {classes - 1}")
    if len(values) == 4 or (len(values) == 5 and 0 <= values[4] <= 1):  # the fifth is a confidence
        x, y, width, height = values[:4]
        box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        return int(label), box, values[4] if len(values) == 5 else None
    if len(values) < 6 or len(values) % 2:
        raise ValueError(
            f"holds {len(fields)} numbers; 5 are a box, 6 one with a confidence in [0, 1], 7, 9, 11, … a polygon"
        )
    return int(label), (min(values[::2]), min(values[1::2]), max(values[::2]), max(values[1::2])), None
