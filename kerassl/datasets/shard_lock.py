"""A folder of shards that one process writes, and what it finds there of an earlier time."""

import contextlib
import fcntl
import itertools

from kerassl._errors import UserError
from kerassl.datasets.shard_index import NAME, read_index


@contextlib.contextmanager
def alone(folder):
    """Makes the folder and locks it; where nothing is finished in it at an error, all is again as it was.

    Args:
        folder: `pathlib.Path`.

    Raises:
        UserError: if another process has the lock, or the folder cannot be written.
    """
    new = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        before = set() if new else {path.name for path in folder.iterdir()}
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    except OSError as error:
        _remove(new)
        raise UserError(
            f"shards cannot be written to {folder} ({error.strerror}); name a folder that can be written"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(f"another process is writing to {folder}; wait for it or choose another folder") from None
        for half in folder.glob(".*.part*"):  # of a process that was killed while writing
            half.unlink(missing_ok=True)
        try:
            yield
        except BaseException as error:
            own = {NAME, ".lock"}
            if {path.name for path in folder.iterdir()} - before <= own:
                for name in own - before:
                    (folder / name).unlink(missing_ok=True)
                _remove(new)
            if isinstance(error, OSError):
                raise UserError(
                    f"shards cannot be written to {folder} ({error.strerror}); make room or mend the folder"
                ) from error
            raise


def _remove(folders):
    with contextlib.suppress(OSError):  # where something else was put there meanwhile
        for each in folders:
            if each.exists():  # not all of them were made
                each.rmdir()


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
        others = [path.name for path in folder.iterdir() if path.name != ".lock"]
        if others:
            raise UserError(f"{folder} holds other things ({min(others)}); give a new folder for the shards")
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
