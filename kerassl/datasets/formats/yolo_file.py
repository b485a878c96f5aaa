"""YOLO's files that name images and classes: a YAML with `names`, or Darknet's `obj.data`."""

import os
import pathlib
import re

from kerassl._errors import UserError
from kerassl._io.text import read_text
from kerassl._io.yaml import read_yaml
from kerassl.datasets.formats.places import split_name
from kerassl.datasets.images.files import image_files

_REMEDY = "give a data.yaml with names, train and val"


class YoloFile:
    """The splits that a YAML or an `obj.data` names.

    Args:
        path: str or `pathlib.Path`.

    Attributes:
        names: the file that the class names are read from.
        splits: dict from "train", "val" and "test" to the list of paths that it names, where they are there.
        missing: dict from the others to what the file names.

    Raises:
        UserError: if it cannot be read.
    """

    def __init__(self, path):
        self.path = pathlib.Path(path)
        here = self.path.parent
        if self.path.suffix.lower() == ".data":
            lines = (line.partition("=") for line in read_text(path, _REMEDY, 1_000_000).split("\n"))
            content = {key.strip(): value.strip() for key, _, value in lines}
            self.names = _find(content.get("names", ""), [here])
            if self.names is None:
                raise UserError(f"{path} names no file of class names that is there; write names = obj.names")
        else:
            content, self.names = read_yaml(path, _REMEDY, texts=True), self.path
            if not isinstance(content, dict):
                raise UserError(f"{path} holds no settings; {_REMEDY}")
        root = content.get("path")
        self._bases = list(dict.fromkeys((_find(root, [here]) or here if isinstance(root, str) else here, here)))
        self.splits, self.missing = {}, {}
        for key, value in content.items():
            split = split_name(key) if isinstance(key, str) else None
            entries = [value] if isinstance(value, str) else value
            if split is None or not entries:
                continue
            if not isinstance(entries, list) or not all(isinstance(each, str) for each in entries):
                raise UserError(
                    f"{path} has {key}: {str(value)[:100]!r}; give a folder, a text file, or a list of them"
                )
            found = [_find(each, self._bases) for each in entries]
            if None in found:
                self.missing[split] = f"{key}: {entries[found.index(None)]}"
            else:
                self.splits[split] = found

    def images(self, split):
        """Return the images of a split, or all: list of str, each once; files that a list names need not be there."""
        if split in self.missing or not (self.splits or not self.missing):
            named = self.missing.get(split) or next(iter(self.missing.values()))
            raise UserError(
                f"{self.path} has {named[:200]}, which is not in {self._bases[0]}; fix the file or add the folder"
            )
        entries = self.splits[split] if split else [each for found in self.splits.values() for each in found]
        found = [path for each in entries or [self.path.parent] for path in self._listed(each)]
        return list({os.path.abspath(path): path for path in found}.values())

    def _listed(self, path):
        if os.path.isdir(path):
            return image_files(path)
        bases, found = [path.parent, *self._bases], []
        for line in filter(None, map(str.strip, read_text(path, "write one image a line").split("\n"))):
            found.append(str(_find(line, bases) or path.parent / line))
        return found


def _find(name, bases):
    """The file or folder of a name: below one of several folders, or what an end of its path names there; or None."""
    name = name.replace("\\", "/")
    whole = (pathlib.Path(os.path.normpath(base / name)) for base in bases)
    parts = [part for part in re.sub(r"^[A-Za-z]:", "", name).split("/") if part not in ("", ".", "..")]
    ends = (base.joinpath(*parts[start:]) for start in range(len(parts)) for base in bases)
    return next((path for path in (*whole, *ends) if name and "\0" not in name and os.path.exists(path)), None)
