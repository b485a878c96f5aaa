"""One VOC XML file and its image into a record."""

import collections
import logging
import xml.etree.ElementTree

import defusedxml
import defusedxml.ElementTree
import numpy as np
import PIL.Image

from kerassl._errors import UserError
from kerassl.datasets.images import fault
from kerassl.datasets.records import Record

log = logging.getLogger("kerassl")


class Findings:
    """Faults that are mended or left out: counted by kind, and told in one line each.

    Args:
        strict: bool. Raise `UserError` at the first instead.
    """

    def __init__(self, strict=False):
        self.strict = strict
        self.found = collections.defaultdict(list)

    def add(self, kind, where):
        """Notes a fault.

        Args:
            kind: str, what it is and what was done about it, as `"boxes without an area left out"`.
            where: str, the file and the value.
        """
        if self.strict:
            raise UserError(
                f"{where}: strict reading stops here ({kind} otherwise); mend the file or read without strict"
            )
        self.found[kind].append(where)

    def tell(self):
        """Writes one line a kind to the log."""
        for kind, places in self.found.items():
            more = f" and {len(places) - 3} more" if len(places) > 3 else ""
            log.warning("%d %s: %s%s", len(places), kind, "; ".join(places[:3]), more)


def read_annotation(image_id, image_path, xml_path, classes, findings, mask_path=None):
    """Reads one image's boxes.

    Args:
        image_id: str.
        image_path: `pathlib.Path`.
        xml_path: `pathlib.Path`.
        classes: list of str.
        findings: `Findings`, which takes what is mended or left out.
        mask_path: str or None.

    Returns:
        `Record`, or None if the image cannot be opened.

    Raises:
        UserError: if the file is no VOC annotation, or names a class that is not in the list.
    """
    root = _parse(xml_path)
    try:
        with PIL.Image.open(image_path) as image:  # reads the header alone
            width, height = image.size
    except Exception:  # Pillow's readers raise many kinds
        findings.add("images that cannot be opened left out", f"{image_path} {fault(image_path)}")
        return None
    told = tuple(root.findtext(f"size/{side}", "").strip() for side in ("width", "height"))
    if all(told) and told != (str(width), str(height)):
        findings.add("wrong image sizes corrected", f"{xml_path} says {told[0]}x{told[1]}, the image {width}x{height}")
    boxes, labels, difficult = [], [], []
    for thing in root.findall("object"):  # an object's own <part>s are no objects
        label = _label(thing, xml_path, classes)
        box = _box(thing, xml_path)
        if box[2] <= box[0] or box[3] <= box[1]:
            findings.add("boxes without an area left out", f"{xml_path}, {classes[label]} {_told(box)}")
            continue
        x0, y0, x1, y1 = box[0] - 1, box[1] - 1, box[2], box[3]
        clipped = min(max(x0, 0), width), min(max(y0, 0), height), min(max(x1, 0), width), min(max(y1, 0), height)
        outside = f"{xml_path}, {classes[label]} {_told(box)} in {width}x{height}"
        if clipped[2] <= clipped[0] or clipped[3] <= clipped[1]:
            findings.add("boxes outside the image left out", outside)
            continue
        if clipped != (x0, y0, x1, y1):
            findings.add("boxes clipped to the image", outside)
        boxes.append(clipped)
        labels.append(label)
        difficult.append(thing.findtext("difficult", "0").strip() not in ("", "0"))
    return Record(
        image_id=image_id,
        path=str(image_path),
        height=height,
        width=width,
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        classes=np.array(labels, np.int32),
        difficult=np.array(difficult, np.bool_),
        mask_path=mask_path,
    )


def _parse(path):
    try:
        root = defusedxml.ElementTree.parse(path).getroot()
    except defusedxml.DefusedXmlException as error:
        raise UserError(
            f"{path} declares XML entities, which are refused ({type(error).__name__}); write plain VOC XML"
        ) from None
    except (xml.etree.ElementTree.ParseError, ValueError, LookupError) as error:
        raise UserError(f"{path} is no whole XML file ({error}); write it again or leave it out") from None
    if root.tag != "annotation":
        raise UserError(f"{path} holds <{root.tag}> and not VOC's <annotation>; give VOC XML")
    return root


def _label(thing, path, classes):
    name = thing.findtext("name", "").strip()
    if name not in classes:
        listed = ", ".join(classes[:5]) + (", …" if len(classes) > 5 else "")
        raise UserError(
            f"{path} names the class {name!r}, which is not among the {len(classes)} classes ({listed}); mend the file "
            "or give its names as classes=[…]"
        )
    return classes.index(name)


def _box(thing, path):
    corners = [thing.findtext(f"bndbox/{name}", "").strip() for name in ("xmin", "ymin", "xmax", "ymax")]
    try:
        box = [float(corner) for corner in corners]
    except ValueError:
        box = [float("nan")]
    if not np.all(np.isfinite(box)):
        raise UserError(f"{path} has an object whose box is {corners}; give numbers for xmin, ymin, xmax and ymax")
    return box


def _told(box):
    return "(" + ", ".join(f"{value:g}" for value in box) + ")"
