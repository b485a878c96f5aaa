"""The classes that a VOC XML names, and nothing else of it: what a stratified subset asks before anything is read."""

from kerassl.datasets.voc_annotation import NoAnnotationError, parse_voc, thing_name


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
        return frozenset(map(thing_name, parse_voc(path).findall("object"))) - {""}
    except NoAnnotationError:
        return frozenset()
