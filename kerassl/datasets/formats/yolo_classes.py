"""The class names of a data set in YOLO's layout."""

import os
import pathlib

from kerassl._errors import UserError
from kerassl.datasets.class_names import FILES, class_names


def yolo_classes(classes):
    """Reads class names.

    Args:
        classes: sequence of str; or str or `pathlib.Path` of a YAML whose `names` is a list, or a dictionary from
            numbers to names, or of a text file with one name a line; or of a folder that holds data.yaml or
            classes.txt.

    Returns:
        List of str; a class is its place in it.

    Raises:
        UserError: if there is no such file, or it holds no list of different names.

    Example:
        >>> kerassl.datasets.yolo_classes("traffic/data.yaml")
        ['car', 'bicycle']
    """
    return class_names(classes)


def find_yolo_names(*folders):
    """Find the file of class names of folders, in them or up to two above.

    Args:
        folders: `pathlib.Path`s.

    Returns:
        `pathlib.Path`, or None where there is none.
    """
    for folder in folders:
        place = pathlib.Path(os.path.abspath(folder))
        for each in (place, *place.parents[:2]):
            for name in FILES:
                if os.path.isfile(each / name):
                    return each / name
    return None


def find_yolo_classes(*folders):
    """The class names of a data set, from the file that `find_yolo_names` finds.

    Args:
        folders: `pathlib.Path`s.

    Returns:
        List of str; see `yolo_classes`.

    Raises:
        UserError: if there is none.
    """
    found = find_yolo_names(*folders)
    if found is None:
        fact = f"there is no data.yaml or classes.txt in {folders[0]} or above it"
        raise UserError(f"{fact}; give classes=[…] or their file", f"{fact}; give --classes, names or a file of them")
    return yolo_classes(found)
