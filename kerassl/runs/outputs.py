"""Whether an output can be written, asked before work is done for it."""

import os
import pathlib
import tempfile

from kerassl._errors import UserError
from kerassl._io import files as _files


def check_file(path, suffixes=(), what=""):
    """Refuse a file that could not be written. Nothing is created.

    Args:
        path: str or `pathlib.Path`, or None, which is passed over.
        suffixes: endings that are accepted, as `(".png", ".jpg")`; empty accepts all.
        what: str. What the file is, for the message.

    Raises:
        UserError: in one line.
    """
    if path is None:
        return
    path = _named(path)
    if suffixes and path.suffix.lower() not in suffixes:
        raise UserError(f"{path} does not end like {what}; end it in {' or '.join(suffixes)}")
    if path.is_dir():
        raise UserError(f"{path} is a folder; give the path of the file to write")
    _files.check_replaceable(path)
    _check_place(path)


def check_folder(path, new=True):
    """Refuse a folder that could not be written. Nothing is created.

    Args:
        path: str or `pathlib.Path`, or None, which is passed over.
        new: bool. Whether there may be nothing at `path`.

    Raises:
        UserError: in one line.
    """
    if path is None:
        return
    path = _named(path)
    there = os.path.lexists(path)
    if new:
        _files.check_new(path)
    if there and not path.is_dir():
        raise UserError(f"{path} is a file; give a folder for the output")
    _check_place(path / "file" if there else path)


def _check_place(path):
    """Refuse a path in a folder that cannot be made or written in."""
    try:
        folder = next(each for each in path.absolute().parents if each.is_symlink() or each.exists())
        # A file without a name: what the rights say is not what a read-only or a system's own disk does.
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _not_written(path, error.strerror) from None


def _named(path):
    """The path, unless no file can have this name."""
    path = pathlib.Path(path)
    if "\0" in str(path) or any(len(os.fsencode(part)) > 255 for part in path.parts):
        raise _not_written(path, "the name is too long, or no name")
    return path


def _not_written(path, reason):
    return UserError(f"{str(path)[:300]} cannot be written ({reason}); choose a path that can be written")
