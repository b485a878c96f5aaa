"""The class names of a data set in YOLO's layout."""

import os
import pathlib

from kerassl._errors import UserError
from kerassl._yaml import read_yaml
from kerassl.datasets.class_names import check_class_names

_FILES = ("data.yaml", "data.yml", "classes.txt")


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
    if not isinstance(classes, (str, os.PathLike)):
        return check_class_names(classes)
    path = pathlib.Path(classes)
    if path.is_dir():
        found = [path / name for name in _FILES if (path / name).is_file()]
        if not found:
            raise UserError(f"the folder {path} holds no {', '.join(_FILES)}; name the file, or give classes=[…]")
        path = found[0]
    try:
        if path.suffix.lower() in (".yaml", ".yml"):
            names = _of_yaml(path)
        else:
            names = _of_lines(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}); give a data.yaml, a classes.txt or a list"
        ) from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is no UTF-8; write the names of the classes as UTF-8") from None
    if not names:
        raise UserError(f"{path} names no class; give one name a line, or names: […] in a YAML")
    return check_class_names(names)


def find_yolo_classes(*folders):
    """Looks for a file of class names in folders and what they lie in, two steps up.

    Args:
        folders: `pathlib.Path`s.

    Returns:
        List of str; see `yolo_classes`.

    Raises:
        UserError: if there is none.
    """
    places = [place for folder in folders for place in (folder, *folder.absolute().parents[:2])]
    for place in places:
        if any((place / name).is_file() for name in _FILES):
            return yolo_classes(place)
    raise UserError(f"there is no data.yaml or classes.txt in {folders[0]} or above it; give classes=[…] or their file")


def _of_lines(text):
    return [line.strip() for line in text.splitlines() if line.strip()]


def _of_yaml(path):
    content = read_yaml(path, "write names: [first, second]")
    names = content.get("names") if isinstance(content, dict) else None
    if isinstance(names, dict):
        if sorted(map(str, names)) != sorted(map(str, range(len(names)))):
            raise UserError(f"{path} numbers its names {sorted(map(str, names))[:10]}; count from 0 without a gap")
        names = [name for _, name in sorted(names.items(), key=lambda pair: int(pair[0]))]
    if not isinstance(names, list):
        raise UserError(f"{path} has no list of names; write names: [first, second]")
    if any(isinstance(name, (list, dict)) for name in names):
        raise UserError(f"{path} has a list within its names; write names: [first, second]")
    return [str(name) for name in names]  # YAML reads a class called 1 or yes as another type
