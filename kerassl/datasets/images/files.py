"""Files of images: finding them, and what distinguishes one list of them from another."""

from __future__ import annotations

import collections
import hashlib
import itertools
import logging
import os
import pathlib
from collections.abc import Iterable, Sequence

from kerassl._display import printable
from kerassl._errors import UserError
from kerassl._io.file_names import nfc
from kerassl.datasets.images.faults import never_read
from kerassl.datasets.images.shard_index import is_shards, open_index, shard_place

log = logging.getLogger("kerassl")

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")

# Left by operating systems and programs. In lower case; names that begin with a dot (.DS_Store) need no list.
_JUNK = {
    "__macosx",  # a folder of a zip that macOS made
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "icon\r",
    "$recycle.bin",
    "system volume information",
    "lost+found",
    "@eadir",  # a folder of thumbnails of a Synology disk
}


def image_files(paths: str | os.PathLike | Iterable[str | os.PathLike]) -> list[str]:
    """Find image files.

    Args:
        paths: str or `pathlib.Path` of a folder (with all folders in it) or of a file, or a sequence of those.

    Returns:
        List of str, sorted within each folder, each file once. In folders only names that end in .jpg, .jpeg, .png,
        .bmp or .webp (in any case) count, and what operating systems leave there does not (`._a.jpg`, `__MACOSX`).
        Links are followed, except those to a folder above them, and no folder is searched twice.

    Raises:
        UserError: if a path is missing or no file, or no image is found.

    Example:
        >>> kerassl.datasets.image_files("photos")
        ['photos/a.jpg', 'photos/more/b.png']
    """
    given = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    found = {}
    if "" in map(str, given):
        raise UserError("a path of images is empty; give a folder of images, or . for the current one")
    for path in map(pathlib.Path, given):
        if path.is_dir():
            inside = files_inside(path, SUFFIXES)
            if not inside:
                raise UserError(f"the folder {path} holds no images; files that end in {', '.join(SUFFIXES)} are read")
            found.update(dict.fromkeys(inside))
        elif path.suffix.lower() == ".json":
            raise UserError(f"{path} is no image; give a folder of images, and a file of labels as data (--data)")
        elif path.is_file():
            found[str(path)] = None
        elif (reason := never_read(path)) is not None:
            raise UserError(f"{path} {reason}; give a folder of images")
        else:
            raise UserError(f"there is no file or folder {path}; give a folder of images")
    if not found:
        raise UserError("no image is named; give a folder of images, or a list of files")
    return list(found)


def files_inside(root, suffixes):
    """Return the files in a folder and all folders in it.

    Links are followed as by `image_files`: real folders come before those that links lead to.

    Args:
        root: str or `pathlib.Path`.
        suffixes: tuple of str in lower case; `""` takes every file.

    Returns:
        Sorted list of str.
    """
    files, folders, links, seen = [], [str(root)], [], set()
    while folders or links:
        folder = folders.pop() if folders else links.pop(0)
        try:
            status = os.stat(folder)
            with os.scandir(folder) as entries:
                entries = sorted((entry for entry in entries if not is_junk(entry.name)), key=lambda entry: entry.name)
        except OSError as error:
            log.warning("left out the folder %s: it cannot be read (%s)", printable(folder), error.strerror)
            continue
        place = (status.st_dev, status.st_ino)
        if place in seen and status.st_ino:  # 0 where a file system has no numbers
            continue
        seen.add(place)
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            elif entry.is_symlink() and os.path.isdir(entry.path):
                links += [] if leads_up(entry.path) else [entry.path]
            elif entry.name.lower().endswith(suffixes):
                files.append(entry.path)  # a pipe or a link to nothing, too: it is for the readers to report
    return sorted(files)


def leads_up(link):
    """Return whether a link leads to a folder that it is in itself, which would make a search endless.

    Args:
        link: str or `pathlib.Path`.

    Returns:
        Bool.
    """
    target = os.path.realpath(link)
    inside = os.path.realpath(os.path.dirname(os.path.abspath(link)))
    return os.path.commonpath([target, inside]) == target


def image_names(paths: str | os.PathLike | Sequence[str | os.PathLike]) -> list[str]:
    """Return the names of images: of files as `image_files` does, or of the images in a folder of shards.

    Args:
        paths: see `image_files`; or one folder of shards, or names of images in shards.

    Returns:
        List of str.
    """
    given = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    if len(given) == 1 and is_shards(given[0]):
        return open_index(given[0]).names(pathlib.Path(given[0]))
    return list(map(str, given)) if given and all(map(shard_place, given)) else image_files(given)


def is_junk(path):
    """Return whether a path is what an operating system or another program left there, and no data.

    Args:
        path: str or `pathlib.Path`, relative to the folder that the user named. A folder that is itself hidden, or is
            in a hidden one, is the user's choice: never pass its own parts.

    Returns:
        Bool. True where the name, or the name of a folder in the path, begins with a dot or is a known one, as
        `Thumbs.db` or `__MACOSX`.

    Example:
        >>> is_junk("train/._a.jpg"), is_junk("__MACOSX/a.jpg"), is_junk("train/a.jpg")
        (True, True, False)
    """
    parts = pathlib.PurePath(path).parts
    return any((part.startswith(".") and part not in (".", "..")) or part.lower() in _JUNK for part in parts)


def files_identity(paths):
    """Return what distinguishes a list of files from another, and from itself after a file was changed.

    Args:
        paths: list of str, of files or of images in shards.

    Returns:
        Str of hexadecimal digits, from all names, sizes and times of change.
    """
    digest = hashlib.sha256()
    for path in paths:
        try:
            stat = os.stat((shard_place(path) or (path,))[0])
            digest.update(
                f"{os.path.abspath(path)}\0{stat.st_size}\0{stat.st_mtime_ns}\0".encode("utf-8", "surrogatepass")
            )
        except (OSError, ValueError):
            digest.update(f"{path}\0missing\0".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def by_file_name(records):
    """Sort records by the names of their image files without the suffix, so that every format has the same order.

    Args:
        records: sequence of `Record`.

    Returns:
        List of `Record`.
    """

    def key(record):
        name = source_file(record)
        return nfc(os.path.splitext(name)[0]), name, record.image_id

    return sorted(records, key=key)


def source_file(record):
    """Return the file that an image was read from: of one in shards, the file that it was packed from, else its id."""
    return record.path if shard_place(record.path) is None else record.file or record.image_id


def without_suffix(name):
    """Return the name of a file without the suffix, if it is that of an image."""
    stem, suffix = os.path.splitext(name)
    return stem if suffix.lower() in (*SUFFIXES, ".gif") else name


def distinct_names(files, ids):
    """Return a name of each image that is the same in every format of labels.

    Args:
        files: sequence of str, the file of each image; see `source_file`.
        ids: sequence of different str.

    Returns:
        List of str: the names of the image files without suffix; of several files of one name, with suffix and as many
        of their folders as distinguish them; of images of one file, with their ids.
    """
    parts = [nfc(file).replace(os.sep, "/").split("/") for file in files]
    names, alike, depth = [without_suffix(each[-1]) for each in parts], [range(len(parts))], 0
    while alike:
        found = collections.defaultdict(list)
        for number, places in enumerate(alike):
            for place in places:
                found[number, names[place]].append(place)
        alike, depth = [places for places in found.values() if len(places) > 1], depth + 1
        for place in itertools.chain(*alike):
            whole = depth > len(parts[place]) + 1
            names[place] = f"{parts[place][-1]}\0{ids[place]}" if whole else "/".join(parts[place][-depth:])
    return names
