"""The classes that a VOC XML names, and nothing else of it: what a stratified subset asks before anything is read."""

import xml.etree.ElementTree

import defusedxml
import defusedxml.ElementTree


def annotated_names(path):
    """The names of the objects in an annotation.

    Args:
        path: `pathlib.Path`, or None where an image has no annotation.

    Returns:
        Frozenset of str. Empty for a file that cannot be parsed: the reader tells of it if its image is chosen.
    """
    if path is None:
        return frozenset()
    try:
        root = defusedxml.ElementTree.parse(path).getroot()
    except (defusedxml.DefusedXmlException, xml.etree.ElementTree.ParseError, OSError, ValueError, LookupError):
        return frozenset()
    return frozenset(thing.findtext("name", "").strip() for thing in root.findall("object"))
