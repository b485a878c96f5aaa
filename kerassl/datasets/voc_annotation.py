"""One VOC XML file into the objects that it tells."""

import xml.etree.ElementTree

import defusedxml
import defusedxml.ElementTree
import numpy as np

from kerassl._errors import UserError
from kerassl.datasets.annotation import Thing, told_box

MAX_BYTES = 10_000_000  # of an XML file: some 30,000 objects in one image


class NoAnnotationError(Exception):
    """The file is no VOC annotation; the message goes after its name."""


def read_voc_annotation(path, classes):
    """Reads an XML file.

    Args:
        path: `pathlib.Path`.
        classes: list of str.

    Returns:
        List of `Thing`, and (width, height) as the file tells them, or None.

    Raises:
        NoAnnotationError: if the file is no VOC annotation.
        UserError: if it names a class that is not in the list.
    """
    root = _parse(path)
    told = tuple((root.findtext(f"size/{side}") or "").strip() for side in ("width", "height"))
    # An object's own <part>s are no objects.
    return [_thing(each, path, classes) for each in root.findall("object")], told if all(told) else None


def _parse(path):
    try:
        if path.stat().st_size > MAX_BYTES:
            raise NoAnnotationError(f"has {path.stat().st_size / 1e6:.0f} MB and cannot be one image's annotation")
        root = defusedxml.ElementTree.parse(path, forbid_dtd=True).getroot()
    except defusedxml.DefusedXmlException as error:
        raise NoAnnotationError(
            f"declares a document type or XML entities, which are refused ({type(error).__name__}); write plain VOC XML"
        ) from None
    except (xml.etree.ElementTree.ParseError, OSError, ValueError, LookupError) as error:
        raise NoAnnotationError(f"is no whole XML file ({error}); write it again or leave it out") from None
    if root.tag != "annotation":
        raise NoAnnotationError(f"holds <{root.tag[:40]}> and not VOC's <annotation>; give VOC XML")
    return root


def _thing(element, path, classes):
    label = _label(element, path, classes)
    x0, y0, x1, y1 = box = _box(element)
    difficult = (element.findtext("difficult") or "0").strip() not in ("", "0")
    # A box of one column is (x, …, x, …) in VOC, but so are the boxes of annotators who clicked twice.
    area = x1 > x0 and y1 > y0
    where = f"{path}, {classes[label]} {told_box(box)}"
    return Thing(label, (x0 - 1, y0 - 1, x1, y1) if area else None, difficult, where)


def _label(element, path, classes):
    name = (element.findtext("name") or "").strip()
    if name not in classes:
        listed = ", ".join(classes[:5]) + (", …" if len(classes) > 5 else "")
        raise UserError(
            f"{path} names the class {name!r}, which is not among the {len(classes)} classes ({listed}); mend the file "
            "or give its names (classes=[…], or --classes in a shell)"
        )
    return classes.index(name)


def _box(element):
    corners = [(element.findtext(f"bndbox/{name}") or "").strip() for name in ("xmin", "ymin", "xmax", "ymax")]
    try:
        box = [float(corner) for corner in corners]
    except ValueError:
        box = [float("nan")]
    if not np.all(np.isfinite(box)):
        raise NoAnnotationError(f"has an object whose box is {corners}; give numbers for xmin, ymin, xmax and ymax")
    return box
