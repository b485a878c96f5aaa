"""Decoded and shrunk images, so that each file is decoded once: in memory, or in a file for later runs."""

import contextlib
import json
import logging
import os
import pathlib
import shutil
import threading
import weakref

import numpy as np

from kerassl._errors import UserError
from kerassl._io import files as _files
from kerassl._io.manifest import Manifest
from kerassl._version import __version__

log = logging.getLogger("kerassl")

_TOGETHER = 256  # rows that are secured on disk at a time; a kill loses at most so many


class RowCache:
    """One row of bytes for each image of a list, filled as they are read.

    On disk a row counts once it is written to the disk and not before, so that a run that is killed leaves no half
    row, and several runs of one machine may read and fill the same cache. One that was made of other files, or of
    files that were changed since, is made again.

    Args:
        where: `"memory"`, or str or `pathlib.Path` of a folder.
        identity: str that changes where the images do; see `files_identity`.
        count: int, images.
        size: int, side of the images in pixels.

    Raises:
        UserError: if there is too little memory or room on the disk for all rows, or the folder cannot be written.
    """

    def __init__(self, where, identity, count, size):
        self.count, self.size = count, size
        self._lock, self._waiting, self._full = threading.Lock(), [], False
        shape = (count, size, size, 3)
        if str(where) == "memory":
            _check_room(shape, available_memory(), "memory", "give cache a folder instead")
            self._rows, self._flags, self._file = np.empty(shape, np.uint8), None, None
            self._valid = np.zeros(count, np.bool_)
            return
        try:
            folder = pathlib.Path(where) / f"images-{size}"
            folder.parent.mkdir(parents=True, exist_ok=True)
            # Or two runs that begin together would both make it, and one of them map files that the other put away.
            with _files.locked(folder.parent, wait=True):
                _open(folder, identity, shape)
                self._rows = np.memmap(folder / "rows.u8", np.uint8, "r", shape=shape)
                self._flags = np.memmap(folder / "whole.u8", np.uint8, "r+", shape=(count,))
                self._file = os.open(folder / "rows.u8", os.O_RDWR)
        except OSError as error:
            raise UserError(
                f"the cache in {where} cannot be opened ({error.strerror or error}); name a folder that can be written"
            ) from error
        self._valid = self._flags.astype(np.bool_)
        weakref.finalize(self, _end, self._file, self._flags, self._waiting)

    def known(self):
        """Which rows are there: `[count]` bool. Secures what was written."""
        if self._file is not None:
            with self._lock:
                _secure(self._file, self._flags, self._waiting)
                self._valid |= self._flags.astype(np.bool_)  # other runs fill it too
        return self._valid.copy()

    def rows(self, places):
        """Rows that are there: `[n]` int to `[n, S, S, 3]` uint8."""
        return self._rows[places]

    def get(self, place):
        """Whether a row is there, and the row (zeros where it is not)."""
        if self._valid[place]:
            return np.True_, np.array(self._rows[place])
        return np.False_, np.zeros(self._rows.shape[1:], np.uint8)

    def put(self, place, row):
        """Keeps a row, unless the disk is full."""
        if self._file is None:
            self._rows[place] = row
        elif self._full or not self._written(place, row):
            return np.int32(0)
        self._valid[place] = True
        return np.int32(0)

    def _written(self, place, row):
        try:
            # Not through the mapping: writing to one kills the process where the disk is full.
            os.pwrite(self._file, np.ascontiguousarray(row).data, int(place) * row.nbytes)
            with self._lock:
                self._waiting.append(int(place))
                if len(self._waiting) >= _TOGETHER:
                    _secure(self._file, self._flags, self._waiting)
        except OSError as error:
            self._full = True
            log.warning("the cache keeps no more images (%s); the others are decoded each time", error.strerror)
            return False
        return True


def _open(folder, identity, shape):
    header = {"images": shape[0], "size": shape[1], "of": identity, "kerassl": __version__}
    lengths = {"rows.u8": int(np.prod(shape)), "whole.u8": shape[0]}
    if folder.is_dir():
        try:
            same = json.loads((folder / "header.json").read_text(encoding="utf-8")) == header
            if same and all((folder / name).stat().st_size == length for name, length in lengths.items()):
                return
        except (OSError, ValueError, RecursionError):
            pass
        log.warning("the cache %s was made of other images, or they were changed: it is made again", folder)
        free = sum(path.stat().st_blocks * 512 for path in folder.iterdir())
    else:
        free = 0
    free += shutil.disk_usage(folder.parent).free
    _check_room(shape, free, f"room in {folder.parent}", "make room or name another folder")
    with _files.whole(folder) as part:
        part.mkdir()
        manifest = Manifest.create(part, "cache")
        for name, length in lengths.items():
            with (part / name).open("wb") as file:
                file.truncate(length)
            manifest.grows(part / name)
        (part / "header.json").write_text(json.dumps(header), encoding="utf-8")
        manifest.add(part / "header.json")


def _secure(file, flags, waiting):
    if waiting:
        os.fdatasync(file)  # the rows before the flags that vouch for them
        flags[waiting] = 1
        waiting.clear()


def _end(file, flags, waiting):
    with contextlib.suppress(OSError):  # those rows are decoded again
        _secure(file, flags, waiting)
    os.close(file)


def _check_room(shape, free, what, remedy):
    needed = int(np.prod(shape, dtype=np.int64))
    if free is not None and needed > free:
        raise UserError(
            f"a cache of {shape[0]} images of {shape[1]} px takes {needed / 2**30:.1f} GiB, but there are "
            f"{free / 2**30:.1f} GiB of {what}; {remedy}, or read without a cache"
        )


def available_memory():
    """Return the free memory in bytes, of a container or the machine, or None where it is not known."""
    found = []
    try:
        lines = dict(line.split(":") for line in pathlib.Path("/proc/meminfo").read_text().splitlines())
        found.append(int(lines["MemAvailable"].split()[0]) * 1024)
    except (OSError, KeyError, ValueError):
        pass
    try:
        group = pathlib.Path("/sys/fs/cgroup")
        limit = (group / "memory.max").read_text().strip()
        found.append(int(limit) - int((group / "memory.current").read_text()))
    except (OSError, ValueError):  # "max" where there is no limit
        pass
    return max(0, min(found)) if found else None
