"""A folder of shards that one process writes, and what it finds there of an earlier time."""

import contextlib
import itertools

from kerassl._errors import UserError
from kerassl._io import files as _files
from kerassl.datasets.shards.index import NAME, read_index


@contextlib.contextmanager
def alone(folder):
    """Create the folder and hold it; where nothing is finished in it at an error, all is again as it was.

    Args:
        folder: `pathlib.Path`.

    Yields:
        `Manifest` of the folder.

    Raises:
        UserError: if another process writes to it, it holds something else, or it cannot be written.
    """
    try:
        with _files.claimed(folder, "folder of shards", keep=(NAME,)) as manifest:
            yield manifest
    except OSError as error:
        raise UserError(
            f"shards cannot be written to {folder} ({error.strerror}); make room and start again"
        ) from error


def shards_from_before(folder, settings):
    """The shards that stand in a folder already, whole or not.

    Args:
        folder: `pathlib.Path`.
        settings: dict, as of `ShardIndex`.

    Returns:
        Dict from a shard's name to its entry in the index.

    Raises:
        UserError: if the folder holds something else, or was written with other settings.
    """
    if not (folder / NAME).is_file():
        return {}
    index = read_index(folder)
    differing = itertools.zip_longest(index.classes or (), settings.get("classes", ()))
    for number, (there, wanted) in enumerate(differing if index.classes and "classes" in settings else ()):
        if there != wanted:
            raise UserError(
                f"{folder} was written with other classes: that at place {number} is {there or 'none'}, not "
                f"{wanted or 'none'}; give those classes or a new folder"
            )
    if index.settings != settings:
        there, wanted = _told(index.settings, settings), _told(settings, index.settings)
        raise UserError(f"{folder} was written with {there}, not {wanted}; use those settings or a new folder")
    return {entry["file"]: entry for entry in index.shards}


def _told(settings, others):
    told = [f"{name} {value}" for name, value in settings.items() if name != "classes"]
    if ("classes" in settings) != ("classes" in others):
        told.append("labels" if "classes" in settings else "no labels")
    return ", ".join(told)
