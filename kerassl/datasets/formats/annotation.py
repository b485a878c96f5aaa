"""Common to readers of all formats: an image and its annotated objects become a record."""

import collections
import dataclasses
import re
import typing

import numpy as np

from kerassl._errors import UserError
from kerassl.datasets.class_names import check_found, report_left_out
from kerassl.datasets.formats.findings import EMPTY, INVERTED
from kerassl.datasets.images.faults import fault
from kerassl.datasets.images.orientation import turn_boxes
from kerassl.datasets.images.reading import read_header
from kerassl.datasets.record import CocoObjects, LabelWeights, Named, Record

_SLACK = 0.01  # of a pixel: rounding by other programs is no fault
_FLAGS = {
    False: ("0", "false", "no", "f", "n", "unspecified", "none", "null", ""),
    True: ("1", "true", "yes", "t", "y"),
}


class AnnotatedObject(typing.NamedTuple):
    """An object as an annotation has it.

    Attributes:
        label: int, its class.
        box: xyxy in continuous pixels, as it is: it may have no area, or be inverted.
        difficult: bool.
        where: str, for messages: file, class and box as they are written there.
        crowd: bool. Whether it is a region of many objects.
        stated: tuple of x, y, width, height, area and id as a COCO json has them, or None.
        weights: tuple of weight, box_weight and ignore, see `LabelWeights`, or None where none is given.
        score: float, how sure a detector is of it, or None of a label.
    """

    label: int
    box: tuple
    difficult: bool
    where: str
    crowd: bool = False
    stated: tuple | None = None
    weights: tuple | None = None
    score: float | None = None


class ClassNumbers(dict):
    """The labels of the classes that annotations name: of those that are wanted, or of all as they are found.

    Args:
        wanted: list of str, or None for all.
    """

    def __init__(self, wanted):
        super().__init__({name: label for label, name in enumerate(wanted or ())})
        self._wanted, self._counts = wanted, collections.Counter()

    def number(self, name):
        """Return the label of an object's class, or None where it is not wanted."""
        self._counts[name] += 1
        return self.get(name) if self._wanted is not None else self.setdefault(name, len(self))

    def known(self, names):
        """Take in classes of objects that are not read."""
        for name in names:
            self.setdefault(name, len(self))

    def finish(self, records, source, official=()):
        """Number the records for good: as wanted, or by the sorted names.

        Args:
            records: list of `Record`.
            source: what has the annotations, for messages.
            official: sequence of str, the names to number by where annotations name no others.

        Returns:
            List of `Record`, and list of class names.

        Raises:
            UserError: if no object has a wanted name, or no class is named.
        """
        if self._wanted is not None:
            check_found(self._wanted, self._counts, source)
            report_left_out(
                collections.Counter({name: count for name, count in self._counts.items() if name not in self}), source
            )
            return records, self._wanted
        names = list(official) if official and self.keys() <= set(official) else sorted(self)
        if not names:
            fact = f"{source} names no class, as no image has an object"
            raise UserError(f"{fact}; give the names as class_names=[…]", f"{fact}; give the names as --classes")
        return renumber(records, list(self), names)[0], names


class ImageSize(typing.NamedTuple):
    """The size of an image as it is displayed, in pixels, and its EXIF orientation, 1 to 8."""

    width: int
    height: int
    orientation: int


def read_size(path, findings):
    """Read the header of an image file.

    Args:
        path: str or `pathlib.Path`.
        findings: `Findings`, which takes a file that cannot be opened.

    Returns:
        `ImageSize`, or None if the file cannot be opened or has too many pixels.
    """
    header = read_header(path)
    if header is None:
        findings.broken(f"{path} {fault(path)}")
        return None
    return displayed_size(header)


def displayed_size(header):
    """Return the `ImageSize` of a `Header`."""
    width, height, orientation, _ = header
    return ImageSize(height, width, orientation) if orientation >= 5 else ImageSize(width, height, orientation)


def read_flag(value):
    """Read a flag as annotations write it.

    Args:
        value: a bool, 0 or 1 as a number, a word of any case (`"false"`, `"0.0"`, `"yes"`, `"Unspecified"`), or None
            for a flag that is missing.

    Returns:
        Bool, or None where the value means neither yes nor no.

    Example:
        >>> read_flag("False"), read_flag(1.0), read_flag("maybe")
        (False, True, None)
    """
    if value is None:
        return False
    if isinstance(value, str):
        word = value.strip().lower()
        for meaning, words in _FLAGS.items():
            if word in words:
                return meaning
        try:
            value = float(word)
        except ValueError:
            return None
    if isinstance(value, (bool, int, float)) and value in (0, 1):
        return bool(value)
    return None


def make_record(image_id, path, size, objects, stated_size, findings, source, names, mask_path=None, background=None):
    """Make the record of an image and its objects.

    Where the size in the annotation is that of the stored image and not that of the displayed image, the boxes are
    rotated too.

    Args:
        image_id: str.
        path: `pathlib.Path` or str of the image.
        size: `ImageSize`.
        objects: sequence of `AnnotatedObject`.
        stated_size: tuple of the width and the height in the annotation, each anything that prints as a number; or
            None where it has none.
        findings: `Findings`, which takes what is fixed or left out.
        source: str, where the size is written, for messages.
        names: sequence of str, the names of the labels.
        mask_path: str or None.
        background: float or None, see `LabelWeights`.

    Returns:
        `Record`.
    """
    width, height, orientation = size
    stored = (height, width) if orientation >= 5 else (width, height)
    stated = None if stated_size is None else tuple(map(str, stated_size))
    turned = stored != (width, height) and stated == tuple(map(str, stored))
    if stated is not None and not turned and stated != (str(width), str(height)):
        found = f"{source} says {stated[0][:20]}x{stated[1][:20]}, the image {width}x{height}"
        findings.add("wrong image sizes corrected", found)
        sides = {each for each in stated if re.fullmatch(r"[1-9]\d*(\.0*)?", each)}  # some tools write 0
        if len(sides) == len(set(stated)) and sorted(float(each) for each in stated) != sorted((width, height)):
            findings.sizes.append(found)
    boxes, kept = [], []
    findings.objects += len(objects)
    for each in objects:
        if is_inverted(each.box):
            findings.add(INVERTED, each.where, unread=True)
            continue
        if each.box[2] == each.box[0] or each.box[3] == each.box[1]:
            findings.add(EMPTY, each.where)
            continue
        box = tuple(turn_boxes([each.box], orientation, width, height)[0]) if turned else each.box
        clipped = tuple(min(max(corner, 0), side) for corner, side in zip(box, (width, height) * 2))
        if clipped[2] <= clipped[0] or clipped[3] <= clipped[1]:
            findings.add("boxes outside the image left out", f"{each.where} in {width}x{height}")
            continue
        if max(abs(a - b) for a, b in zip(clipped, box)) > _SLACK:
            findings.add("boxes clipped to the image", f"{each.where} in {width}x{height}")
        x0, y0, x1, y1 = np.array(clipped, np.float32)
        if x1 <= x0 or y1 <= y0:  # an area in float64 alone
            findings.add(EMPTY, each.where)
            continue
        boxes.append(clipped)
        kept.append(each)
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    classes = np.array([each.label for each in kept], np.int32)
    crowd = np.array([each.crowd for each in kept], np.bool_)
    return Record(
        image_id=image_id,
        path=str(path),
        height=height,
        width=width,
        boxes=boxes,
        classes=classes,
        difficult=np.array([each.difficult for each in kept], np.bool_),
        crowd=crowd,
        mask_path=mask_path if orientation == 1 else None,
        coco=None if turned else _coco_objects(objects, (boxes, classes, crowd)),
        named=Named(tuple(names), classes),
        weights=_label_weights(kept, background),
    )


def _label_weights(objects, background):
    given = [each.weights for each in objects]
    if background is None and not any(given):
        return None
    columns = np.array([each or (1.0, 1.0, False) for each in given], np.float32).reshape(-1, 3).T
    return LabelWeights(columns[0], columns[1], columns[2] > 0, 1.0 if background is None else background)


def _coco_objects(objects, made):
    if not objects or any(each.stated is None or each.difficult for each in objects):
        return None  # COCO has no difficult objects
    stated = np.array([each.stated[:5] for each in objects], np.float64)
    return CocoObjects(
        boxes=stated[:, :4],
        areas=stated[:, 4],
        classes=np.array([each.label for each in objects], np.int32),
        crowd=np.array([each.crowd for each in objects], np.bool_),
        ids=np.array([each.stated[5] for each in objects], np.int64),
        made=made,
    )


def renumber(records, names, wanted):
    """Number the classes of records by other names, and leave out the objects of the rest.

    Args:
        records: sequence of `Record`.
        names: sequence of str, the names of their classes.
        wanted: sequence of str.

    Returns:
        List of `Record`; and `collections.Counter` of the names of objects that were left out.
    """
    names, wanted = tuple(names), tuple(wanted)
    places = {name: place for place, name in enumerate(wanted)}
    table = np.array([places.get(name, -1) for name in names], np.int32)
    made, others = [], collections.Counter()
    for record in records:
        labels = table[record.classes]
        kept = labels >= 0
        others.update(names[label] for label in record.classes[~kept])
        changed = {"classes": labels[kept]}
        if not kept.all():
            changed |= {key: getattr(record, key)[kept] for key in ("boxes", "difficult", "crowd")}
            changed["weights"] = None if record.weights is None else record.weights.of(kept)
        one = dataclasses.replace(record, named=Named(wanted, changed["classes"]), **changed)
        if record.coco is not None and kept.all():
            # The objects as in the json stay those that COCO's evaluation counts.
            coco = dataclasses.replace(
                record.coco, classes=table[record.coco.classes], made=(one.boxes, one.classes, one.crowd)
            )
            one = dataclasses.replace(one, coco=coco)
        made.append(one)
    return made, others


def is_inverted(box):
    """Return whether a box, xyxy, ends before it begins."""
    return box[2] < box[0] or box[3] < box[1]


def box_text(box):
    """Return a box for messages, as `(1, 2.5, 30, 40)`."""
    return "(" + ", ".join(f"{value:g}" for value in box) + ")"
