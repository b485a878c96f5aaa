"""One image and what an annotation says of it into a record; all readers of annotations share it."""

import typing

import numpy as np

from kerassl.datasets.images.faults import fault
from kerassl.datasets.images.headers import read_header
from kerassl.datasets.images.orientation import turn_boxes
from kerassl.datasets.record import CocoObjects, Named, Record

_SLACK = 0.01  # of a pixel: what was rounded when it was written is no fault


class Thing(typing.NamedTuple):
    """An object as an annotation tells it.

    Attributes:
        label: int, its class.
        box: xyxy in continuous pixels, or None if it has no area.
        difficult: bool.
        where: str, for messages: file, class and box as they stand there.
        crowd: bool. Whether it is a region of many objects.
        stated: tuple of x, y, width, height, area and id as a COCO json has them, or None.
    """

    label: int
    box: tuple | None
    difficult: bool
    where: str
    crowd: bool = False
    stated: tuple | None = None


class Picture(typing.NamedTuple):
    """The header of an image file.

    Attributes:
        width: int, in pixels, as people see the picture.
        height: int, likewise.
        orientation: int, of its EXIF, 1 to 8.
    """

    width: int
    height: int
    orientation: int


def open_picture(path, findings):
    """Reads an image's header alone.

    Args:
        path: str or `pathlib.Path`.
        findings: `Findings`, which takes a file that cannot be opened.

    Returns:
        `Picture`, or None if the file cannot be opened or has too many pixels.
    """
    header = read_header(path)
    if header is None:
        findings.broken(f"{path} {fault(path)}")
        return None
    width, height, orientation, _ = header
    return Picture(height, width, orientation) if orientation >= 5 else Picture(width, height, orientation)


def make_record(image_id, path, picture, things, told, findings, source, mask_path=None, names=None):
    """Places objects on an image.

    Where the size that the annotation tells is that of the stored image and not that of the image as people see it,
    the boxes are turned along.

    Args:
        image_id: str.
        path: `pathlib.Path` or str of the image.
        picture: `Picture`.
        things: sequence of `Thing`.
        told: tuple of the width and the height that the annotation tells, each anything that prints as a number; or
            None where it tells none.
        findings: `Findings`, which takes what is fixed or left out.
        source: str, where the size is told, for messages.
        mask_path: str or None.
        names: sequence of str, the names that the labels of the things stand for, or None.

    Returns:
        `Record`.
    """
    width, height, orientation = picture
    stored = (height, width) if orientation >= 5 else (width, height)
    told = None if told is None else tuple(map(str, told))
    turned = stored != (width, height) and told == tuple(map(str, stored))
    if told is not None and not turned and told != (str(width), str(height)):
        findings.add(
            "wrong image sizes corrected", f"{source} says {told[0][:20]}x{told[1][:20]}, the image {width}x{height}"
        )
    boxes, kept = [], []
    for thing in things:
        if thing.box is None or thing.box[2] <= thing.box[0] or thing.box[3] <= thing.box[1]:
            findings.add("boxes without an area left out", thing.where)
            continue
        box = tuple(turn_boxes([thing.box], orientation, width, height)[0]) if turned else thing.box
        clipped = tuple(min(max(corner, 0), side) for corner, side in zip(box, (width, height) * 2))
        if clipped[2] <= clipped[0] or clipped[3] <= clipped[1]:
            findings.add("boxes outside the image left out", f"{thing.where} in {width}x{height}")
            continue
        if max(abs(a - b) for a, b in zip(clipped, box)) > _SLACK:
            findings.add("boxes clipped to the image", f"{thing.where} in {width}x{height}")
        x0, y0, x1, y1 = np.array(clipped, np.float32)
        if x1 <= x0 or y1 <= y0:  # an area in float64 alone
            findings.add("boxes without an area left out", thing.where)
            continue
        boxes.append(clipped)
        kept.append(thing)
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    classes = np.array([thing.label for thing in kept], np.int32)
    crowd = np.array([thing.crowd for thing in kept], np.bool_)
    return Record(
        image_id=image_id,
        path=str(path),
        height=height,
        width=width,
        boxes=boxes,
        classes=classes,
        difficult=np.array([thing.difficult for thing in kept], np.bool_),
        crowd=crowd,
        mask_path=mask_path if orientation == 1 else None,
        coco=None if turned else _coco_objects(things, (boxes, classes, crowd)),
        named=None if names is None else Named(tuple(names), classes),
    )


def _coco_objects(things, made):
    if not things or any(thing.stated is None for thing in things):
        return None
    stated = np.array([thing.stated[:5] for thing in things], np.float64)
    return CocoObjects(
        boxes=stated[:, :4],
        areas=stated[:, 4],
        classes=np.array([thing.label for thing in things], np.int32),
        crowd=np.array([thing.crowd for thing in things], np.bool_),
        ids=np.array([thing.stated[5] for thing in things], np.int64),
        made=made,
    )


def told_box(box):
    """A box for messages, as `(1, 2.5, 30, 40)`."""
    return "(" + ", ".join(f"{value:g}" for value in box) + ")"
