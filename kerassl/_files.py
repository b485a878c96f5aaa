"""Outputs that appear whole or not at all."""

import contextlib
import os
import pathlib
import re
import shutil
import uuid

from kerassl._errors import UserError


@contextlib.contextmanager
def whole(path, replace=True):
    """Gives a temporary path beside `path`; moves it into place when the block ends without an exception.

    Works for a file and for a folder: the block creates whichever it wants at the path that it is given.

    Args:
        path: str or `pathlib.Path`. Where the finished file or folder is to stand. Its parents are created.
        replace: bool. Whether something that already stands at `path` may be replaced.

    Yields:
        `pathlib.Path`, in the same folder and with the same suffix as `path`; nothing stands there yet.

    Raises:
        UserError: if `path` exists and `replace` is false.
    """
    path = pathlib.Path(path)
    if path.exists() and not replace:
        raise UserError(f"{path} already exists; choose another path or remove it first")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.parent / f".{path.stem}-{uuid.uuid4().hex[:8]}.part{path.suffix}"
    try:
        yield part
        if path.exists() and not replace:  # somebody else was faster
            raise UserError(f"{path} already exists; choose another path or remove it first")
        if path.is_dir():
            old = part.with_name(part.name + ".old")
            os.rename(path, old)
            os.rename(part, path)
            shutil.rmtree(old)
        else:
            os.replace(part, path)
    finally:
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)


@contextlib.contextmanager
def whole_folder(path):
    """`whole` for a folder that replaces nothing and takes long; what a killed process left of it goes first.

    A folder that is being written is locked, and the system takes the lock off when its process ends, in whatever way.
    So one without a lock is nobody's, and is removed. Where the file system locks no folders, all are left alone.

    Args:
        path: as of `whole`.

    Yields:
        `pathlib.Path` of the temporary folder, which is there and empty.

    Raises:
        UserError: if `path` exists.
    """
    path = pathlib.Path(path)
    with whole(path, replace=False) as part:
        _sweep(path)
        part.mkdir()
        with locked(part):
            yield part


def _sweep(path):
    name = re.compile(rf"\.{re.escape(path.stem)}-[0-9a-f]{{8}}\.part{re.escape(path.suffix)}")
    for part in path.parent.iterdir():
        if name.fullmatch(part.name) and part.is_dir() and not part.is_symlink():
            with locked(part) as free:
                if free:
                    shutil.rmtree(part, ignore_errors=True)


@contextlib.contextmanager
def locked(folder, wait=False):
    """Holds a folder's lock for as long as the block lasts; the system takes it off when the process ends.

    Args:
        folder: `pathlib.Path` of a folder that is there.
        wait: bool. Wait for whoever has the lock.

    Yields:
        Whether this has the lock: not where another has it, or where there are none (Windows, some networks' disks).
    """
    try:
        import fcntl  # not on Windows

        handle = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):
        yield False
        return
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)
