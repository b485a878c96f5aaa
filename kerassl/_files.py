"""Outputs that appear whole or not at all."""

import contextlib
import os
import pathlib
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
