"""The classes that a VOC XML names, and those that a devkit has lists of, and nothing else of them."""

from kerassl.datasets.formats.unicode_names import nfc
from kerassl.datasets.formats.voc_annotation import NoAnnotationError, parse_voc, thing_name


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


def listed_names(folder):
    """The classes of which a devkit lists the images, as `cat` of `ImageSets/Main/cat_train.txt` beside `train.txt`.

    Args:
        folder: `pathlib.Path` of the year, as `VOCdevkit/VOC2007`.

    Returns:
        Frozenset of str.
    """
    stems = {path.stem for path in (folder / "ImageSets" / "Main").glob("*.txt")}
    parts = (stem.rpartition("_") for stem in stems)
    return frozenset(nfc(name) for name, _, split in parts if name and split in stems)
