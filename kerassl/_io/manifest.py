"""The record of the files that kerassl wrote into a folder: nothing else is ever replaced or removed there.

A manifest is `.kerassl.jsonl` in the folder of a run, a cache, shards or checkpoints. It is only appended to, a line
before each file is moved into place, so that it is right after a kill at any moment. A file that it does not name, or
that has other bytes than were written, belongs to the user.
"""

from __future__ import annotations

import contextlib
import fnmatch
import glob
import hashlib
import json
import os
import pathlib
import re
import shutil
import stat

from kerassl._errors import UserError

NAME = ".kerassl.jsonl"
LOCK = ".kerassl.lock"  # only while a process writes to the folder
_FORMAT = "kerassl manifest 1"
_LEFT_BY_SYSTEMS = {".DS_Store", "Thumbs.db", "desktop.ini"}
# No wildcard but in what TensorBoard writes.
_GROWING = re.compile(r"(?:[^*?\[]|\[[*?\[]\])+|tensorboard/\w+/events\.out\.tfevents\.\*\.\d+\.\*", re.DOTALL)
_LINE = re.compile(rb'\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+ [A-Z]+ |\{"kind": |$')
_TEMPORARY = re.compile(r"\.kerassl-[0-9a-f]{8}\.part.*", re.DOTALL)

_opened: dict = {}


class Manifest:
    """The files that kerassl wrote into one folder.

    Args:
        folder: str or `pathlib.Path` of a folder that holds a manifest.

    Attributes:
        folder: `pathlib.Path`, absolute.
        kind: str, as `"run"`, or None where the file is no manifest of kerassl's.
    """

    def __init__(self, folder: str | os.PathLike) -> None:
        self.folder = pathlib.Path(os.path.realpath(folder))
        self._path = self.folder / NAME
        self._offset, self._inode = 0, None
        self.kind: str | None = None
        self._written: dict[str, dict[tuple[int, str], bool]] = {}
        self._growing: dict[str, bool] = {}
        self._temporary: list[str] = []
        self._folders: set[str] = set()
        self._read()

    @classmethod
    def at(cls, folder: str | os.PathLike) -> Manifest:
        """The manifest in a folder, read once in a process."""
        key = os.path.abspath(folder)
        known = _opened.get(key)
        if known is None or known._is_another():
            known = _opened[key] = cls(folder)
        return known

    @classmethod
    def create(cls, folder: str | os.PathLike, kind: str) -> Manifest:
        """Begin a manifest in a folder, or open the one that is there."""
        folder = pathlib.Path(folder)
        if not os.path.lexists(folder / NAME):
            cls._append_to(folder / NAME, {"format": _FORMAT, "kind": kind})
        manifest = cls.at(folder)
        if manifest.kind != kind:
            raise UserError(f"{folder / NAME} is not the manifest of a {kind}; choose another folder")
        return manifest

    @classmethod
    def above(cls, path: str | os.PathLike) -> Manifest | None:
        """The manifest of the nearest folder that holds `path`, or None."""
        for folder in _place(path).parents:
            if (folder / NAME).is_file() and not (folder / NAME).is_symlink():
                manifest = cls.at(folder)
                if manifest.kind is not None:
                    return manifest
        return None

    def add(self, path: str | os.PathLike, at: str | os.PathLike | None = None, state: bool = False) -> None:
        """Record a finished file, or all files of a folder, before it is moved into place.

        Args:
            path: Path of the file or folder.
            at: Path where it will be; None where it is already.
            state: Whether the file is the run's own state, which may be replaced if it was damaged.
        """
        path, at = pathlib.Path(path), pathlib.Path(path if at is None else at)
        if path.is_dir():
            folders = [path, *(each for each in sorted(path.rglob("*")) if each.is_dir())]
            self._append(*({"folder": self._key(at / folder.relative_to(path))} for folder in folders))
        if os.path.lexists(path / NAME):
            return  # a folder with a manifest of its own
        entries = []
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                entry = {"file": self._key(at / file.relative_to(path)), "bytes": file.stat().st_size}
                entries.append({**entry, "sha256": checksum(file), **({"state": True} if state else {})})
        self._append(*entries)

    def grows(self, path: str | os.PathLike, pattern: bool = False) -> None:
        """Record a file that is appended to, or changed in place, until `settle`; or a pattern of such files."""
        key = self._key(path)
        self._append({"grows": key if pattern else glob.escape(key)})

    def temporary(self, path: str | os.PathLike) -> None:
        """Record the name of a file or folder that is about to be written, which `sweep` removes after a kill."""
        self._append({"temporary": self._key(path)})

    def settle(self) -> None:
        """Record what growing files hold now: from here on a change is the user's."""
        self._read()
        patterns = [pattern for pattern, open_ in self._growing.items() if open_]
        for path in _walk(self.folder) if patterns else ():
            if any(fnmatch.fnmatchcase(self._key(path), pattern) for pattern in patterns):
                self.add(path, state=True)  # a log that was damaged is no reason not to resume
        for pattern in patterns:
            self._append({"settled": pattern})

    def owns(self, path: str | os.PathLike) -> bool:
        """Whether there is a regular file at `path` that kerassl wrote and nobody changed since."""
        try:
            found = os.lstat(path)
        except OSError:
            return False
        if not stat.S_ISREG(found.st_mode) or not _place(path).is_relative_to(self.folder):
            return False
        self._read()
        key = self._key(path)
        if any(open_ and fnmatch.fnmatchcase(key, pattern) for pattern, open_ in self._growing.items()):
            return not key.endswith((".txt", ".jsonl")) or _is_log(path)  # a killed process could record no hash
        written = self._written.get(key, {})
        return any(size == found.st_size for size, _ in written) and (found.st_size, checksum(path)) in written

    def is_new(self) -> bool:
        """Whether kerassl has written nothing into the folder yet, as far as it is still there."""
        self._read()
        return not any(path.name not in (NAME, LOCK) for path in self.folder.iterdir())

    def names(self, path: str | os.PathLike) -> bool:
        """Whether a file of this path was ever written by kerassl, changed since or not."""
        self._read()
        key = self._key(path)
        return key in self._written or any(fnmatch.fnmatchcase(key, pattern) for pattern in self._growing)

    def foreign(self, folder: str | os.PathLike | None = None) -> pathlib.Path | None:
        """Return the first file or folder, there or in a folder within, that is not kerassl's or was changed."""
        self._read()
        made = self._made()
        return next((path for path in self._content(folder or self.folder, made) if not self._is_own(path, made)), None)

    def made(self, folder: str | os.PathLike) -> bool:
        """Whether kerassl created a folder, or one of its files is in it."""
        self._read()
        return pathlib.PurePosixPath(self._key(folder)) in self._made()

    def changed(self) -> pathlib.Path | None:
        """The first file that kerassl wrote and somebody changed since, or None; the run's own state is passed over."""
        self._read()
        for key, written in self._written.items():
            path = self.folder / key
            if not any(written.values()) and os.path.lexists(path) and not self.owns(path):
                return path
        return None

    def clear(self, folder: str | os.PathLike | None = None) -> None:
        """Remove the files that kerassl wrote, and the folders that are empty then.

        Args:
            folder: Path within the manifest's folder, which is removed too if it is empty then; None for all files in
                the manifest's folder, which stays with its manifest.
        """
        self._read()
        top = self.folder if folder is None else pathlib.Path(os.path.realpath(folder))
        made = self._made()
        own = [path for path in self._content(top, made) if self._is_own(path, made)]
        for path in own:
            if path.is_dir() and not path.is_symlink():
                inner = Manifest(path)
                inner.clear()
                (path / NAME).unlink()
            else:
                path.unlink(missing_ok=True)
        for path in sorted(_folders(top), key=lambda each: -len(each.parts)):
            with contextlib.suppress(OSError):  # something of the user's is in it
                if pathlib.PurePosixPath(self._key(path)) in made or path in own:
                    path.rmdir()
        if folder is not None:
            with contextlib.suppress(OSError):
                top.rmdir()

    def remove(self, path: str | os.PathLike) -> bool:
        """Remove a file if kerassl wrote it and nobody changed it since; returns whether it did."""
        if self.owns(path):
            pathlib.Path(path).unlink(missing_ok=True)
            return True
        return False

    def sweep(self) -> None:
        """Remove what a killed process left half written. Only where no other process writes to the folder."""
        self._read()
        for key in self._temporary:
            path = self.folder / key
            if os.path.realpath(path.parent) != str(path.parent) or not _TEMPORARY.fullmatch(path.name):
                continue  # a link leads out of the folder, or somebody edited the manifest
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def delete(self) -> None:
        """Remove the manifest itself."""
        self._path.unlink(missing_ok=True)

    def _made(self):
        """The folders that kerassl created, and those above its files."""
        keys = [*self._written, *self._growing, *self._temporary]
        above = {parent for key in keys for parent in pathlib.PurePosixPath(key).parents}
        return above | set(map(pathlib.PurePosixPath, self._folders))

    def _key(self, path):
        return _place(path).relative_to(self.folder).as_posix()

    def _content(self, folder, made):
        """Yield all but folders that the manifest names, of which the content is given; links are not followed."""
        for path in sorted(pathlib.Path(folder).iterdir()):
            if path == self._path or path.name == LOCK:
                continue
            if path.name in _LEFT_BY_SYSTEMS and path.is_file():
                continue
            is_folder = path.is_dir() and not path.is_symlink() and not os.path.lexists(path / NAME)
            if is_folder and pathlib.PurePosixPath(self._key(path)) in made:
                yield from self._content(path, made)
            else:
                yield path

    def _is_own(self, path, made):
        if path.is_dir() and not path.is_symlink():
            inner = Manifest(path)
            return self._key(path) in self._folders and inner.kind == "cache" and inner.foreign() is None
        is_half = self._key(path) in self._temporary and _TEMPORARY.fullmatch(path.name)
        return bool(is_half) or self.owns(path)

    def _is_another(self):
        """Whether the file was removed or replaced since it was read."""
        try:
            found = os.stat(self._path)
        except OSError:
            return True
        return found.st_ino != self._inode or found.st_size < self._offset

    def _append(self, *lines):
        self._append_to(self._path, *lines)
        self._read()

    @staticmethod
    def _append_to(path, *lines):
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        handle = os.open(path, flags, 0o666)
        try:
            half = bool(os.fstat(handle).st_size) and os.lseek(handle, -1, os.SEEK_END) >= 0
            half = half and os.read(handle, 1) != b"\n"
            text = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
            os.write(handle, b"\n" * (half and bool(lines)) + text)
        finally:
            os.close(handle)

    def _read(self):
        """Take up the lines that were added since."""
        try:
            with self._path.open("rb") as file:
                self._inode = os.fstat(file.fileno()).st_ino
                file.seek(self._offset)
                added = file.read()
        except OSError:
            return
        added = added[: added.rfind(b"\n") + 1]
        first = self._offset == 0
        self._offset += len(added)
        for text in added.splitlines():
            try:
                line = json.loads(text)
                if first and line["format"] == _FORMAT:
                    self.kind = line["kind"]
                elif self.kind is None:
                    return
                elif "file" in line and _is_inside(line["file"]):
                    entry = line["bytes"], line["sha256"]
                    self._written.setdefault(line["file"], {})[entry] = bool(line.get("state"))
                elif "grows" in line and _GROWING.fullmatch(line["grows"]):
                    self._growing[line["grows"]] = True
                elif "settled" in line:
                    self._growing[str(line["settled"])] = False
                elif "folder" in line and _is_inside(line["folder"]):
                    self._folders.add(line["folder"])
                elif "temporary" in line and _is_inside(line["temporary"]):
                    self._temporary.append(line["temporary"])
            except (ValueError, KeyError, TypeError, RecursionError):
                pass  # half a line, of a process that was killed
            first = False


def _is_log(path):
    """Whether a file holds lines of a log or of metrics alone; the last one may be half."""
    try:
        *lines, _ = pathlib.Path(path).read_bytes().split(b"\n")
    except OSError:
        return False
    return all(map(_LINE.match, lines))


def _place(path):
    """Return the path of a file with links to its folder resolved, but not one that it is itself."""
    folder, name = os.path.split(os.path.abspath(path))
    return pathlib.Path(os.path.realpath(folder), name)


def _is_inside(key):
    """Whether a name stays in the folder."""
    if "\0" in key or len(os.fsencode(key)) > 4000 or any(len(os.fsencode(part)) > 255 for part in key.split("/")):
        return False
    return not pathlib.PurePosixPath(key).is_absolute() and ".." not in pathlib.PurePosixPath(key).parts


def checksum(path: str | os.PathLike) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    with pathlib.Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _walk(folder):
    """All files below a folder, without following links."""
    for where, _, names in os.walk(folder):
        yield from (pathlib.Path(where) / name for name in names)


def _folders(folder):
    for where, names, _ in os.walk(folder):
        yield from (path for path in (pathlib.Path(where) / name for name in names) if not path.is_symlink())
