"""The objects of a VOC XML file."""

import typing
import xml.etree.ElementTree

import defusedxml
import defusedxml.ElementTree
import numpy as np

from kerassl._io.file_names import nfc
from kerassl._io.text import UnreadableError, text_of
from kerassl.datasets.formats.annotation import AnnotatedObject, box_text, read_flag

MAX_BYTES = 10_000_000  # of an XML file: some 30,000 objects in one image
_OTHER_SHAPES = ("robndbox", "polygon", "points", "segmentation")


class NoAnnotationError(Exception):
    """The file is no VOC annotation; the message goes after its name."""


class VocAnnotation(typing.NamedTuple):
    """The content of an XML file.

    Attributes:
        objects: list of `AnnotatedObject`.
        size: (width, height) as written in the file, or None.
        file_name: str, the image's name as written in the file; empty where it has none.
    """

    objects: list
    size: tuple | None
    file_name: str


def read_voc_annotation(path, number, findings):
    """Read an XML file.

    Args:
        path: `pathlib.Path` or str.
        number: function from the name of a class to its label, or to None for a class that is left out.
        findings: `Findings`, which takes what is unclear.

    Returns:
        `VocAnnotation`.

    Raises:
        NoAnnotationError: if the file is no VOC annotation.
    """
    root = _parse(path)
    size = tuple((root.findtext(f"size/{side}") or "").strip() for side in ("width", "height"))
    # An object's own <part>s are no objects.
    objects = [_object(each, path, number, findings) for each in root.findall("object")]
    file_name = (root.findtext("filename") or "").strip().replace("\\", "/").rpartition("/")[2]
    return VocAnnotation([each for each in objects if each is not None], size if all(size) else None, file_name)


def annotated_names(path):
    """Return the class names of the objects in an annotation.

    Args:
        path: `pathlib.Path`.

    Returns:
        Set of str. Empty for a file that cannot be parsed, which `read_voc_annotation` reports.
    """
    try:
        return set(map(_class_name, _parse(path).findall("object"))) - {""}
    except NoAnnotationError:
        return set()


def _parse(path):
    return parse_xml(path, "annotation", MAX_BYTES)


def parse_xml(path, tag, most):
    """Return the root of an XML file.

    Args:
        path: `pathlib.Path` or str.
        tag: str, that of the root.
        most: int. A longer file, in bytes, is refused unread.

    Raises:
        NoAnnotationError: if it is no such file.
    """
    try:
        root = defusedxml.ElementTree.fromstring(text_of(path, most, xml=True), forbid_dtd=True)
    except UnreadableError as error:
        raise NoAnnotationError(str(error)) from None
    except defusedxml.DefusedXmlException as error:
        raise NoAnnotationError(
            f"declares a document type or XML entities, which are refused ({type(error).__name__}); write plain XML"
        ) from None
    except (xml.etree.ElementTree.ParseError, ValueError, LookupError) as error:
        raise NoAnnotationError(f"is no whole XML file ({error}); write it again or leave it out") from None
    if root.tag != tag:
        raise NoAnnotationError(f"holds <{root.tag[:40]}> and not <{tag}>")
    return root


def _class_name(element):
    return nfc((element.findtext("name") or "").strip())


def _object(element, path, number, findings):
    name = _class_name(element)
    if not name:
        raise NoAnnotationError("has an object without a <name>; name its class")
    x0, y0, x1, y1 = box = _box(element, name)
    label = number(name)
    if label is None:
        return None
    # A box of one column is (x, ..., x, ...) in VOC, but so are the boxes of annotators who clicked twice.
    area = x1 > x0 and y1 > y0
    where = f"{path}, {name[:100]} {box_text(box)}"
    difficult = _is_difficult(element, where, findings)
    box = (x0 - 1, y0 - 1, x1, y1) if area else tuple(box)
    return AnnotatedObject(label, box, difficult, where, score=_score(element))


def _score(element):
    """The score of a detection, or None of a label."""
    try:
        return float(element.findtext("score") or element.findtext("confidence") or "")
    except ValueError:
        return None


def _is_difficult(element, where, findings):
    text = element.findtext("difficult") or ""
    difficult = read_flag(text)
    if difficult is None:
        kind = "objects taken as not difficult, whose <difficult> is neither 0 nor 1"
        findings.add(kind, f"{where}: {text.strip()[:40]!r}")
    return bool(difficult)


def _box(element, name):
    if element.find("bndbox") is None:
        other = next((tag for tag in _OTHER_SHAPES if element.find(tag) is not None), None)
        has = "has an object" if other is None else f"has an object with a <{other}>, which is not read,"
        raise NoAnnotationError(f"{has} without a <bndbox> ({name[:40]!r}); give each object a <bndbox>")
    corners = [(element.findtext(f"bndbox/{name}") or "").strip() for name in ("xmin", "ymin", "xmax", "ymax")]
    try:
        box = [float(corner) for corner in corners]
    except ValueError:
        box = [float("nan")]
    if not np.all(np.isfinite(box)):
        raise NoAnnotationError(f"has an object whose box is {corners}; give numbers for xmin, ymin, xmax and ymax")
    return box
