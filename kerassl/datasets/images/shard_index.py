"""The index of a folder of shards: which files belong to it, their checksums, and where each image begins.

An image in a shard is named by the shard and its number there, as `shards/shard-00002.tfrecord#17`, in place of the
path of an image file. So is one in a file of tensorflow-datasets, as `voc-train.tfrecord-00000-of-00001#17`.
"""

import collections
import dataclasses
import json
import os
import pathlib
import re

import numpy as np

from kerassl._display import shortened
from kerassl._errors import UserError
from kerassl._io import files as _files
from kerassl._io.text import read_text

NAME = "index.json"
FORMAT = "kerassl shards 1"

_FILE = re.compile(r"shard-\d{1,12}\.tfrecord", re.ASCII)
_FRAME = 16  # bytes of a record besides its content: its length, and two checksums
_MAX_BYTES = 2**29  # some tens of millions of images
_AGAIN = "write the shards again into a new folder"
_PLACE = re.compile(r"(.+\.tfrecord(?:-\d{5,}-of-\d{5,})?)#(\d{1,12})", re.DOTALL | re.ASCII)


@dataclasses.dataclass
class ShardIndex:
    """The content of `index.json`.

    Attributes:
        settings: dict of the settings that shaped the records; with labels also `classes`, the list of their names.
        shards: list of dicts: `file`, `sha256`, `bytes`, `source` (what distinguishes the files that it was made of
            from others), `offsets` (of each record in bytes), `broken` (list of [file, reason], left out).
        complete: bool. Whether all shards are there.
    """

    settings: dict
    shards: list
    complete: bool = False

    @property
    def classes(self):
        """List of str, the names of the classes, or None where there are no labels."""
        return self.settings.get("classes")

    def names(self, folder):
        """The names of all images, list of str, for the index of this folder (`pathlib.Path`)."""
        return [
            f"{folder / entry['file']}#{number}" for entry in self.shards for number in range(len(entry["offsets"]))
        ]

    def write(self, folder):
        """Writes it, whole."""
        content = {"format": FORMAT, **dataclasses.asdict(self)}
        with _files.whole(folder / NAME, state=True) as part:
            part.write_text(json.dumps(content), encoding="utf-8")


def is_shards(folder):
    """Whether a folder holds an index of shards, finished or not, and not some other program's file of that name."""
    path = pathlib.Path(folder) / NAME
    if not path.is_file():
        return False
    if any(path.parent.glob("shard-*.tfrecord")):
        return True
    try:
        with path.open("rb") as file:
            return FORMAT.encode() in file.read(2**16)
    except OSError:
        return False


def read_index(folder):
    """Reads the index of a folder.

    Args:
        folder: `pathlib.Path`.

    Returns:
        `ShardIndex`, whose entries name files of this folder alone and records that fit into them.

    Raises:
        UserError: if there is none, it cannot be read, it is no index of shards, or it is damaged.
    """
    path = folder / NAME
    if not path.is_file():
        raise UserError(f"{folder} holds no {NAME}; give a folder that datasets.write_shards or kerassl shards wrote")
    text = read_text(path, _AGAIN, _MAX_BYTES)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):  # deeper, or a number longer, than Python takes
        raise UserError(f"{path} is no JSON, or cut off; {_AGAIN}") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UserError(f"{path} is no index of kerassl's shards; {_AGAIN}")
    wrong = _wrong(content)
    if wrong is not None:
        raise UserError(f"{path} is damaged: {wrong}; {_AGAIN}")
    return ShardIndex(content["settings"], content["shards"], content["complete"])


def _wrong(content):
    """Return the problem of an index's content, or None."""
    settings, shards = content.get("settings"), content.get("shards")
    if not isinstance(content.get("complete"), bool):
        return f"complete is {_short(content.get('complete'))}, not true or false"
    if not isinstance(settings, dict):
        return f"settings is {_short(settings)}, no mapping"
    size, classes = settings.get("image_size", 0), settings.get("classes")
    if size is not None and not (_is_whole(size) and 1 <= size <= 2**14):
        return f"image_size is {_short(size)}, neither null nor a number of pixels"
    if classes is not None:
        if not isinstance(classes, list) or not classes or not all(isinstance(name, str) for name in classes):
            return f"classes is {_short(classes)}, no list of names"
        doubled = [name for name, count in collections.Counter(classes).items() if count > 1]
        if doubled:
            return f"classes names {_short(doubled[0])} more than once"
    if not isinstance(shards, list):
        return f"shards is {_short(shards)}, no list"
    seen = set()
    for number, entry in enumerate(shards):
        wrong = _wrong_entry(entry)
        if wrong is not None:
            return f"in shard {number} {wrong}"
        if entry["file"] in seen:
            return f"{entry['file']} is named more than once"
        seen.add(entry["file"])
    return None


def _wrong_entry(entry):
    if not isinstance(entry, dict):
        return f"is {_short(entry)}, no mapping"
    for key in ("file", "sha256", "source"):
        if not isinstance(entry.get(key), str):
            return f"{key} is {_short(entry.get(key))}, no text"
    if not _FILE.fullmatch(entry["file"]):
        return f"file is {_short(entry['file'])}, no name of a shard, as shard-00000.tfrecord"
    length, offsets, broken = (entry.get(key) for key in ("bytes", "offsets", "broken"))
    if not _is_whole(length) or not 0 <= length < 2**62:
        return f"bytes is {_short(length)}, no length"
    if not isinstance(offsets, list):
        return f"offsets is {_short(offsets)}, no list"
    end = 0
    for offset in offsets:
        if not _is_whole(offset) or not end <= offset <= length - _FRAME:
            return f"the offset {_short(offset)} is not within its {length} bytes and above the one before"
        end = offset + _FRAME
    if not isinstance(broken, list) or not all(
        isinstance(each, list) and len(each) == 2 and all(isinstance(part, str) for part in each) for each in broken
    ):
        return f"broken is {_short(broken)}, no list of files and reasons"
    return None


def _is_whole(value):
    return isinstance(value, int) and not isinstance(value, bool)


def _short(value):
    kinds = {list: "a list", dict: "a mapping"}  # whose text might be as long as the file
    return kinds.get(type(value)) or shortened(repr(value), 40)


def record_spans(entry):
    """Where the records of a shard begin, and how many bytes each of them holds.

    Args:
        entry: dict of `ShardIndex.shards`.

    Returns:
        `[n, 2]` int64 array.
    """
    starts = np.array(entry["offsets"], np.int64)
    return np.stack([starts, np.append(starts[1:], entry["bytes"]) - starts - _FRAME], axis=1)


def open_index(folder):
    """Reads the index of a folder whose shards are to be read.

    Args:
        folder: str or `pathlib.Path`.

    Returns:
        `ShardIndex`, complete.

    Raises:
        UserError: as `read_index`, and if a shard is missing or has another length than it had when it was written.
    """
    folder = pathlib.Path(folder)
    index = read_index(folder)
    if index.complete and not any(entry["offsets"] for entry in index.shards):
        raise UserError(f"{folder / NAME} names no image; {_AGAIN}")
    if not index.complete:
        raise UserError(f"{folder} is not finished; start write_shards (kerassl shards) again, which resumes")
    for entry in index.shards:
        _check_length(folder / entry["file"], entry["bytes"])
    return index


def _check_length(path, length):
    if not path.is_file():
        raise UserError(f"{path} is not there; start write_shards (kerassl shards) again, which writes what is missing")
    found = path.stat().st_size
    if found != length:
        raise UserError(
            f"{path} has {found} bytes and was written with {length}; start write_shards (kerassl shards) again, which "
            "repairs it"
        )


def shard_place(name):
    """Return where an image is in a shard, or in a file of tensorflow-datasets.

    Args:
        name: str or `pathlib.Path`.

    Returns:
        The shard's path as str and the image's number in it, or None if this is the path of an ordinary file.
    """
    found = _PLACE.fullmatch(str(name))
    return None if found is None else (str(pathlib.Path(found[1])), int(found[2]))


def is_tfds(file):
    """Return whether a file of records is one of tensorflow-datasets, by its name."""
    return not str(file).endswith(".tfrecord")


def scan_spans(file):
    """Return where the records of a TFRecord file begin and how many bytes each holds, from their lengths alone.

    Args:
        file: str.

    Returns:
        `[n, 2]` int64 array.
    """
    spans, position, size = [], 0, os.path.getsize(file)
    with open(file, "rb") as content:
        while position + _FRAME <= size:
            content.seek(position)
            length = int.from_bytes(content.read(8), "little")
            if length > size - position - _FRAME:
                break
            spans.append((position, length))
            position += length + _FRAME
    return np.array(spans, np.int64).reshape(-1, 2)
