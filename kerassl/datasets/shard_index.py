"""The index of a folder of shards: which files belong to it, their checksums, and where each image begins."""

import dataclasses
import hashlib
import json
import pathlib

from kerassl import _files
from kerassl._errors import UserError

NAME = "index.json"
FORMAT = "kerassl shards 1"


@dataclasses.dataclass
class ShardIndex:
    """What stands in `index.json`.

    Attributes:
        settings: dict of the settings that shaped the records.
        shards: list of dicts: `file`, `sha256`, `bytes`, `source` (what tells the files that it was made of from
            others), `offsets` (of each record in bytes), `broken` (list of [file, reason], left out).
        complete: bool. Whether all shards are there.
    """

    settings: dict
    shards: list
    complete: bool = False

    def write(self, folder):
        """Writes it, whole."""
        content = {"format": FORMAT, **dataclasses.asdict(self)}
        with _files.whole(folder / NAME) as part:
            part.write_text(json.dumps(content), encoding="utf-8")


def is_shards(folder):
    """Whether a folder holds an index of shards."""
    return (pathlib.Path(folder) / NAME).is_file()


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


def checksum(path):
    """SHA-256 of a file, in hexadecimal digits."""
    with pathlib.Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
