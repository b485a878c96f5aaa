"""Writing PASCAL VOC's folders."""

from __future__ import annotations

import os
import typing
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from kerassl.datasets.writing.files import WrittenDataset, number_text, shortest, writing, written

if typing.TYPE_CHECKING:
    from kerassl.datasets.dataset import DetectionDataset


def write_voc(
    labeled: DetectionDataset | Mapping[str, DetectionDataset],
    out: str | os.PathLike,
    *,
    copy: bool = False,
    progress: bool = True,
) -> WrittenDataset:
    """Write PASCAL VOC's folders: `JPEGImages`, `Annotations`, and `ImageSets/Main` where splits are given.

    Boxes are those of the displayed image, with decimals where they have any, and are read again as they are. The
    class names are also in `classes.txt`, in their order, which XML files do not hold. VOC cannot mark crowd regions,
    which are left out, or hold boxes at most a pixel wide or high; both are counted in the log.

    Args:
        labeled: `DetectionDataset`, or dict of those by the name of their split, as "train", all of the same classes.
        out: str or path of a new folder.
        copy: bool. Copy the images. False makes hard links where the file system can, which take no space; they are
            the same files, so copy them if you are going to change them.
        progress: bool. Show a bar on a terminal.

    Returns:
        `WrittenDataset`.

    Raises:
        UserError: if there is no image, the folder exists or is within one of the images', the splits have different
            classes, or a file cannot be written.

    Example:
        >>> labeled = kerassl.datasets.DetectionDataset.from_coco("annotations.json", "photos")
        >>> kerassl.datasets.write_voc(dict(zip(("train", "val"), labeled.split(val=0.1))), "voc")
    """
    with writing(labeled, out, copy, progress) as output:
        names = output.class_names
        for split, rows in output.splits.items():
            for record, stem in rows:
                file = output.image(record, "JPEGImages", stem)
                output.mask(record, stem)
                kept = output.kept(record, crowd=False, difficult=True)
                objects = [
                    (names[record.classes[place]], record.boxes[place], bool(record.difficult[place]), None)
                    for place in kept
                ]
                wide = [each for each in objects if min(each[1][2:] - each[1][:2]) > 1]
                output.leave_out("boxes at most a pixel wide or high", len(objects) - len(wide))
                output.text(f"Annotations/{stem}.xml", voc_xml(file, record.width, record.height, wide))
            if split is not None:
                output.text(f"ImageSets/Main/{split}.txt", "".join(f"{stem}\n" for _, stem in rows))
        output.text("classes.txt", "".join(f"{name}\n" for name in names))
    return written(output, out, ("",))


def voc_xml(file: str, width: int, height: int, objects: Iterable[Sequence]) -> str:
    """Return a VOC annotation.

    Args:
        file: str, the image's file.
        width, height: int, of the displayed image.
        objects: sequence of (class name, xyxy box, difficult, score or None).
    """
    root = ElementTree.Element("annotation")
    ElementTree.SubElement(root, "filename").text = file
    size = ElementTree.SubElement(root, "size")
    for side, value in (("width", width), ("height", height), ("depth", 3)):
        ElementTree.SubElement(size, side).text = str(value)
    for name, box, difficult, score in objects:
        entry = ElementTree.SubElement(root, "object")
        ElementTree.SubElement(entry, "name").text = name
        ElementTree.SubElement(entry, "difficult").text = str(int(difficult))
        if score is not None:
            ElementTree.SubElement(entry, "score").text = str(np.float32(score))
        corners = ElementTree.SubElement(entry, "bndbox")
        for side, corner, first in zip(("xmin", "ymin", "xmax", "ymax"), shortest(box), (1, 1, 0, 0)):
            ElementTree.SubElement(corners, side).text = number_text(corner + first)  # VOC counts pixels from 1
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"
