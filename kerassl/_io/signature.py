"""A mark in a single file that kerassl wrote: whether it did, and whether anybody changed the file since.

Folders have a manifest; an image or an archive that is written anywhere else carries the SHA-256 of its other bytes, in
a place that all readers of the format pass over. Files of other formats have none.
"""

from __future__ import annotations

import hashlib
import os
import pathlib
import struct
import zlib

_PNG, _END = b"\x89PNG\r\n\x1a\n", b"\0\0\0\0IEND\xaeB`\x82"
_CHUNK = b"keRa"  # ancillary and private
_ZIP, _LAST = b"PK\3\4", b"PK\5\6"
_COMMENT = b"kerassl sha256 "


def sign(path: pathlib.Path) -> None:
    """Mark a PNG or zip file (`.keras`, `.npz`) that was just written; other files are left as they are."""
    with path.open("r+b") as file:
        head = file.read(8)
        size = file.seek(0, os.SEEK_END)
        if head == _PNG and _at(file, size - len(_END)) == _END:
            digest = _hash(file, size).digest()
            file.seek(size - len(_END))
            file.write(_chunk(digest) + _END)
        elif head[:4] == _ZIP and _at(file, size - 22)[:4] == _LAST and _at(file, size - 2) == b"\0\0":
            comment = _COMMENT + _hash(file, size).hexdigest().encode()
            file.seek(size - 2)
            file.write(struct.pack("<H", len(comment)) + comment)


def is_signed(path: pathlib.Path) -> bool:
    """Whether a regular file was marked by `sign` and is as it was then."""
    try:
        with path.open("rb") as file:
            head = file.read(8)
            size = file.seek(0, os.SEEK_END)
            if head == _PNG:
                place = size - len(_END) - 44
                digest = _at(file, place + 8)[:32]
                return _at(file, place) == _chunk(digest) + _END and _hash(file, place, _END).digest() == digest
            if head[:4] == _ZIP:
                place = size - len(_COMMENT) - 64
                comment = _COMMENT + _hash(file, place - 2, b"\0\0").hexdigest().encode()
                return _at(file, place - 2) == struct.pack("<H", len(comment)) + comment
    except OSError:
        pass
    return False


def _chunk(digest):
    return struct.pack(">I", len(digest)) + _CHUNK + digest + struct.pack(">I", zlib.crc32(_CHUNK + digest))


def _at(file, place):
    file.seek(max(place, 0))
    return file.read()


def _hash(file, size, more=b""):
    file.seek(0)
    digest = hashlib.sha256()
    while size > 0:
        part = file.read(min(size, 1 << 20))
        if not part:
            break
        digest.update(part)
        size -= len(part)
    digest.update(more)
    return digest
