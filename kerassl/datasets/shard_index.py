"""The index of a folder of shards: which files belong to it, their checksums, and where each image begins.

An image in a shard is named by the shard and its number there, as `shards/shard-00002.tfrecord#17`; this stands where
that of an image file has its path.
"""

import dataclasses
import json
import pathlib
import re

from kerassl import _files
from kerassl._errors import UserError

NAME = "index.json"
FORMAT = "kerassl shards 1"

_PLACE = re.compile(r"(.+\.tfrecord)#(\d+)", re.DOTALL)


@dataclasses.dataclass
class ShardIndex:
    """What stands in `index.json`.

    Attributes:
        settings: dict of the settings that shaped the records; with labels also `classes`, the list of their names.
        shards: list of dicts: `file`, `sha256`, `bytes`, `source` (what tells the files that it was made of from
            others), `offsets` (of each record in bytes), `broken` (list of [file, reason], left out).
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
    return path.is_file() and (
        any(path.parent.glob("shard-*.tfrecord")) or FORMAT in path.read_text("utf-8", "replace")
    )


def read_index(folder):
    """Reads the index of a folder.

    Args:
        folder: `pathlib.Path`.

    Returns:
        `ShardIndex`.

    Raises:
        UserError: if there is none, or it is no index of shards.
    """
    path = folder / NAME
    if not path.is_file():
        raise UserError(f"{folder} holds no {NAME}; give a folder that datasets.write_shards or kerassl shards wrote")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise ValueError
        return ShardIndex(content["settings"], content["shards"], content["complete"])
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path} is no index of kerassl's shards; write the shards again into a new folder") from None


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
    if not index.complete:
        raise UserError(f"{folder} is not finished; start write_shards (kerassl shards) again, which goes on")
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
            "mends it"
        )


def shard_place(name):
    """Where an image stands in a shard.

    Args:
        name: str or `pathlib.Path`.

    Returns:
        The shard's path as str and the image's number in it, or None if this is the path of an ordinary file.
    """
    found = _PLACE.fullmatch(str(name))
    return None if found is None else (str(pathlib.Path(found[1])), int(found[2]))
