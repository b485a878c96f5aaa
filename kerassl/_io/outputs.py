"""Checks that an output can be written, before work is done for it."""

from __future__ import annotations

import os
import pathlib
import tempfile
from collections.abc import Sequence

from kerassl._errors import UserError
from kerassl._io import files as _files


def check_file(path: str | os.PathLike | None, suffixes: Sequence[str] = (), what: str = "") -> None:
    """Refuse a file that could not be written. Nothing is created.

    Args:
        path: Str or path, or None, which is skipped.
        suffixes: Endings that are accepted, as `(".png", ".jpg")`; empty accepts all.
        what: Str, the kind of file, for the message.

    Raises:
        UserError: in one line.
    """
    if path is None:
        return
    file = _named(path)
    if suffixes and file.suffix.lower() not in suffixes:
        raise UserError(f"{file} does not end like {what}; end it in {' or '.join(suffixes)}")
    if file.is_dir():
        raise UserError(f"{file} is a folder; give the path of the file to write")
    _files.check_replaceable(file)
    _check_place(file)


def check_folder(path: str | os.PathLike | None, new: bool = True) -> None:
    """Refuse a folder that could not be written. Nothing is created.

    Args:
        path: Str or path, or None, which is skipped.
        new: Bool. Whether there may be nothing at `path`.

    Raises:
        UserError: in one line.
    """
    if path is None:
        return
    folder = _named(path)
    there = os.path.lexists(folder)
    if new:
        _files.check_new(folder)
    if there and not folder.is_dir():
        raise UserError(f"{folder} is a file; give a folder for the output")
    _check_place(folder / "file" if there else folder)


def _check_place(path):
    """Refuse a path in a folder that cannot be made or written in."""
    try:
        folder = next(each for each in path.absolute().parents if each.is_symlink() or each.exists())
        # A file without a name: the rights do not show that a disk is read-only.
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
