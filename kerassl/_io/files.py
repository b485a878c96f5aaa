"""Outputs that appear whole or not at all, and that never take the place of a file of the user's."""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import os
import pathlib
import shutil
import stat
import uuid
from collections.abc import Iterable, Iterator, Mapping

import filelock

from kerassl._errors import UserError
from kerassl._io import manifest as _manifest
from kerassl._io import signature as _signature
from kerassl._io.manifest import Manifest

log = logging.getLogger("kerassl")

_MARK = "temporary.json"


@contextlib.contextmanager
def whole(
    path: str | os.PathLike, *, replace: bool = True, overwrite: bool = False, state: bool = False
) -> Iterator[pathlib.Path]:
    """Give a temporary path beside `path`, and move it into place when the block ends without an exception.

    Works for a file and for a folder: the block creates whichever it wants at the path that it is given. What is at
    `path` already is replaced only if kerassl wrote it and nobody changed it since, by the manifest of a folder above
    (see `Manifest`), or if `overwrite` is true and both are files.

    Args:
        path: str or `pathlib.Path`. Where the finished file or folder is to be. Its parents are created.
        replace: bool. Whether what kerassl wrote before at `path` may be replaced.
        overwrite: bool. Replace a file whoever wrote it.
        state: bool. Whether the file is a run's own state, read when the run is resumed. One that is there and was
            changed or damaged is renamed, so that the run can continue.

    Yields:
        `pathlib.Path`, in the same folder and with the same suffix as `path`; nothing is there yet.
    """
    path = pathlib.Path(path)
    if "\0" in str(path) or len(os.fsencode(path.name)) > 255:
        raise UserError(f"{str(path)[:200]!r} cannot be the name of a file; choose another path")
    new = make_folder(path.parent, path)
    manifest = Manifest.above(path)
    settings = (manifest, replace, overwrite, state)
    suffix = path.suffix if len(os.fsencode(path.suffix)) < 32 else ""
    part = path.parent / f".kerassl-{uuid.uuid4().hex[:8]}.part{suffix}"
    done = False
    try:
        _check_place(path, *settings)
        if manifest is not None:
            manifest.temporary(part)
        yield part
        _check_place(path, *settings)  # somebody else may have been faster
        if path.is_dir() and Manifest(path).kind != (Manifest(part).kind if part.is_dir() else "no folder"):
            raise UserError(f"{path} is a folder, which is not replaced; choose another path")
        if manifest is not None:
            manifest.add(part, path, state)
        elif part.is_file():
            _signature.sign(part)
        old = path.is_dir() and part.with_name(part.name + ".old")
        if old:
            os.rename(path, old)
        elif state and manifest is not None and os.path.lexists(path) and not manifest.owns(path):
            set_aside(path)
        os.replace(part, path)
        done = True
        if old:
            shutil.rmtree(old)
    finally:
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)
        if not done:
            remove_folders(new)


def _check_place(path, manifest, replace, overwrite, state):
    """Refuse to take the place of what is not kerassl's."""
    if not os.path.lexists(path):
        return
    if not replace:
        raise UserError(f"{path} already exists; choose another path or remove it first")
    if path.is_dir():
        inner = Manifest(path)
        own = inner.kind == "cache" or (inner.kind is None and manifest is not None and manifest.made(path))
        if path.is_symlink() or not own:
            raise UserError(f"{path} is a folder, which is not replaced; choose another path")
        found = manifest.foreign(path) if inner.kind is None else inner.foreign()
        if found is not None:
            raise UserError(
                f"{path} holds {found.name}, which is not as kerassl wrote it; move it or choose another path"
            )
        return
    if manifest is not None and (state or manifest.owns(path)):
        return
    if overwrite and stat.S_ISREG(os.lstat(path).st_mode):
        return
    changed = (
        "was changed since kerassl wrote it" if manifest is not None and manifest.names(path) else "already exists"
    )
    raise UserError(f"{path} {changed}; choose another path or remove it first")


def check_new(path: str | os.PathLike) -> None:
    """Refuse a path of an output at which there is something, a link to nothing included."""
    if os.path.lexists(path):
        raise UserError(f"{path} already exists; choose another path or remove it first")


def check_replaceable(path: str | os.PathLike) -> None:
    """Refuse a file's path at which there is anything but a file that kerassl wrote and nobody changed since."""
    path = pathlib.Path(path)
    if path.is_symlink() or not path.is_file() or not _signature.is_signed(path):
        check_new(path)


def check_outside(path: str | os.PathLike, inputs: Iterable | None) -> None:
    """Refuse an output within one of the `inputs` that is a folder: its images would count as input the next time."""
    place = pathlib.Path(os.path.realpath(path))
    for each in inputs or ():
        named = isinstance(each, (str, os.PathLike)) and os.path.isdir(each)
        if named and pathlib.Path(os.path.realpath(each)) in (place, *place.parents):
            raise UserError(f"the output {path} is in {each}, which is read; choose a folder outside of it")


def check_not_removed(folder: str | os.PathLike, values: Mapping | Iterable) -> None:
    """Refuse to replace the folder of a run that holds one of its inputs.

    Args:
        folder: Folder of the run.
        values: Its settings: dicts and lists of anything, where each str may be a path.
    """
    values = list(values.values()) if isinstance(values, dict) else values
    for value in values:
        if isinstance(value, (dict, list)):
            check_not_removed(folder, value)
        elif isinstance(value, str) and "\0" not in value and os.path.lexists(value):
            place = pathlib.Path(os.path.realpath(value))
            if pathlib.Path(os.path.realpath(folder)) in (place, *place.parents):
                raise UserError(
                    f"{value} is in {folder}, which --replace removes; move it out or choose another folder"
                )


def make_folder(folder: str | os.PathLike, wanted: str | os.PathLike | None = None) -> list[pathlib.Path]:
    """Create a folder and those above it.

    Args:
        folder: Path of the folder.
        wanted: The path that a message names; by default the folder.

    Returns:
        The folders that were created, the deepest first, as `remove_folders` takes them.
    """
    folder = pathlib.Path(folder)
    try:
        new = [each for each in (folder, *folder.parents) if not each.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(None, "no permission to write")
    except (OSError, ValueError) as error:
        with contextlib.suppress(OSError, UnboundLocalError):
            remove_folders(new)
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{wanted or folder} cannot be written ({reason}); choose a path that can be") from error
    return new


def remove_folders(folders: Iterable[pathlib.Path]) -> None:
    """Remove folders that `make_folder` created, as far as they are empty."""
    with contextlib.suppress(OSError):
        for each in folders:
            each.rmdir()


@contextlib.contextmanager
def claimed(folder: str | os.PathLike, kind: str, keep: Iterable[str] = ()) -> Iterator[Manifest]:
    """Create a folder for outputs, with its manifest, and hold it against other processes.

    Args:
        folder: str or `pathlib.Path` of a new or empty folder, or of one with a manifest of this kind.
        kind: str, as `"run"`.
        keep: names of files that are no result: where an error leaves nothing else, all is again as it was.

    Yields:
        `Manifest`.
    """
    folder = pathlib.Path(folder)
    if os.path.lexists(folder) and not folder.is_dir():
        raise UserError(f"{folder} is a file; give a folder for the output")
    if folder.is_dir() and not (folder / _manifest.NAME).is_file():
        others = sorted(item.name for item in folder.iterdir())
        if others:
            raise UserError(f"{folder} already holds {others[0]}, which is not kerassl's; give a new folder")
    new = make_folder(folder)
    fresh = not (folder / _manifest.NAME).exists()
    if (folder / _manifest.NAME).is_symlink():
        raise UserError(f"{folder / _manifest.NAME} is a link; choose another folder")
    try:
        manifest = Manifest.create(folder, kind)
    except OSError as error:
        if fresh:
            with contextlib.suppress(OSError):
                (folder / _manifest.NAME).unlink()
        remove_folders(new)
        raise UserError(f"{folder} cannot be written ({error.strerror}); choose a path that can be") from error
    try:
        with locked(folder) as free:
            if free is False:
                raise UserError(f"another process is writing to {folder}; wait for it or choose another folder")
            manifest.sweep()
            try:
                yield manifest
            except BaseException:
                left = {path.name for path in folder.iterdir()}
                if fresh and manifest.foreign() is None and left <= {_manifest.NAME, _manifest.LOCK, *keep}:
                    manifest.clear()
                    manifest.delete()
                else:
                    manifest.settle()
                raise
            manifest.settle()
    except BaseException:
        remove_folders(new)
        raise


def open_log(path: pathlib.Path) -> None:
    """Prepare a file of a run that is appended to. One that was changed since is copied first.

    Args:
        path: Path in a folder with a manifest, which records it.
    """
    manifest = Manifest.above(path)
    assert manifest is not None
    if os.path.lexists(path) and not manifest.owns(path):
        if os.path.islink(path) or not os.path.isfile(path) or not manifest.names(path):
            raise UserError(f"{path} is not kerassl's; move it away first")
        shutil.copy2(path, _aside(path))
    manifest.grows(path)


def own_folder(folder: str | os.PathLike, kind: str) -> None:
    """Create a folder that kerassl keeps files in, with a manifest of that kind unless a folder above it has one."""
    make_folder(folder)
    if Manifest.above(pathlib.Path(folder) / "file") is None:
        Manifest.create(folder, kind)


def sweep(folder: str | os.PathLike) -> None:
    """Remove what a killed process left half written in a folder with a manifest; only where no other one writes."""
    if (pathlib.Path(folder) / _manifest.NAME).is_file():
        Manifest.at(folder).sweep()


def clear(folder: str | os.PathLike) -> None:
    """Remove of a folder what kerassl wrote in it, by the manifest above, and nothing else."""
    manifest = Manifest.above(folder)
    if manifest is not None and os.path.isdir(folder) and not os.path.islink(folder):
        manifest.clear(folder)


def owns(path: str | os.PathLike) -> bool:
    """Whether a file is as kerassl wrote it, by the manifest above."""
    manifest = Manifest.above(path)
    return manifest is not None and manifest.owns(path)


def remove(path: str | os.PathLike) -> bool:
    """Remove a file if kerassl wrote it and nobody changed it since; returns whether it did."""
    manifest = Manifest.above(path)
    return manifest is not None and manifest.remove(path)


def set_aside(path: pathlib.Path) -> None:
    """Rename a file that is in the way of a run's own state, with a line in the log."""
    os.rename(path, _aside(path))


def _aside(path):
    names = (path.with_name(f"{path.name}.changed{number or ''}") for number in itertools.count())
    aside = next(name for name in names if not os.path.lexists(name))
    log.warning("%s is not as kerassl wrote it; it is kept as %s", path, aside.name)
    return aside


@contextlib.contextmanager
def whole_folder(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """`whole` for a new folder that takes long; what a killed process left of it is removed first.

    The folder is written within a hidden one that is named after its path. Such a folder is locked, and the system
    takes the lock off when its process ends, in whatever way. So one without a lock is of a process that was killed.

    Args:
        path: as of `whole`.

    Yields:
        `pathlib.Path` of the temporary folder, which is there and empty.
    """
    path = pathlib.Path(path)
    check_new(path)
    make_folder(path.parent, path)
    _sweep(path)
    outer = path.parent / f".kerassl-{uuid.uuid4().hex[:8]}.part"
    try:
        (outer / "folder").mkdir(parents=True)
        with locked(outer):
            (outer / _MARK).write_text(json.dumps({"for": path.name}), encoding="utf-8")
            yield outer / "folder"
            check_new(path)  # somebody else may have been faster
            manifest = Manifest.above(path)
            if manifest is not None:
                manifest.add(outer / "folder", path)
            os.rename(outer / "folder", path)
    finally:
        shutil.rmtree(outer, ignore_errors=True)


def _sweep(path):
    for outer in path.parent.glob(".kerassl-*.part"):
        try:
            wanted = json.loads((outer / _MARK).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if wanted == {"for": path.name} and not outer.is_symlink():
            with locked(outer) as free:
                if free:
                    shutil.rmtree(outer, ignore_errors=True)


@contextlib.contextmanager
def locked(folder: str | os.PathLike, wait: bool = False) -> Iterator[bool | None]:
    """Hold a folder's lock for as long as the block lasts; the system releases it when the process ends.

    Yields:
        True, or False where another process has the lock (unless `wait`), or None where the folder cannot be locked.
    """
    path = pathlib.Path(folder, _manifest.LOCK)
    lock = filelock.FileLock(path, timeout=-1 if wait else 0)
    try:
        lock.acquire()
    except filelock.Timeout:
        yield False
        return
    except (OSError, NotImplementedError):
        yield None
        return
    try:
        yield True
    finally:
        with contextlib.suppress(OSError):  # on Windows only after its release, which removes it there
            path.unlink()
        lock.release()
