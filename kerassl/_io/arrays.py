"""Arrays in `.npz` files: read whole and checked, or not at all."""

from __future__ import annotations

import io
import os
import struct
import zipfile
from typing import IO

import numpy as np

_END = struct.Struct("<4s6xH8xH")  # of a zip archive: its mark, the number of its parts, the length of a comment


class DamagedError(Exception):
    """The file cannot be read; the message is the reason, in one line."""


def read_arrays(file: str | os.PathLike | IO[bytes]) -> dict[str, np.ndarray]:
    """Read all arrays of an `.npz` file, without pickles.

    NumPy checks no checksum of an array whose damaged header asks for less than there is, and a damaged archive makes
    it raise almost anything.

    Args:
        file: path, or a binary file that can seek.

    Returns:
        Dict from name to `np.ndarray`.

    Raises:
        FileNotFoundError: if there is no such file.
        DamagedError: if the file is no `.npz` file, is damaged, or holds Python objects.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            check_archive(archive)
            return dict(_array(archive, name) for name in archive.namelist())
    except FileNotFoundError:
        raise
    except Exception as error:  # a single wrong byte makes zipfile and NumPy raise more than they document
        raise DamagedError(reason(error)) from error


def check_archive(archive: zipfile.ZipFile) -> None:
    """Refuse a `ZipFile` that lost parts or has one twice, or whose content would be far larger than the archive.

    A wrong byte in its list of parts makes Python's zipfile pass over some of them.
    """
    members = archive.infolist()
    assert archive.fp is not None
    size = archive.fp.seek(0, os.SEEK_END)
    comment = len(archive.comment)
    archive.fp.seek(max(0, size - _END.size - comment))
    mark, count, stated = _END.unpack(archive.fp.read(_END.size))
    if (mark, stated) != (b"PK\5\6", comment) or (count != len(members) and count != 0xFFFF):
        raise ValueError("its list of parts is damaged")
    if len({member.filename for member in members}) < len(members):
        raise ValueError("it holds a part twice")
    unpacked = sum(member.file_size for member in members)
    if unpacked > 200 * size + 2**20:
        raise ValueError(f"it would unpack to {unpacked / 2**30:.1f} GiB")


def reason(error: BaseException) -> str:
    """Return an exception's message as one short line."""
    lines = str(error).strip().splitlines()
    line = lines[0].strip().rstrip(".")[:160] if lines else ""
    return line if line and not isinstance(error, KeyError) else f"{type(error).__name__} {line}".strip()


def _array(archive, name):
    stream = io.BytesIO(archive.read(name))  # whole, for only then is its checksum compared
    array = np.lib.format.read_array(stream, allow_pickle=False)
    if stream.read(1):
        raise ValueError(f"{name} is longer than its header states")
    return name.removesuffix(".npy"), array
