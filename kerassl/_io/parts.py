"""Shares of a list of files for processes that know nothing of each other, and their outputs, which are read as one."""

from __future__ import annotations

import hashlib
import os
import pathlib
import re
import typing
from collections.abc import Iterable, Sequence

from kerassl._errors import UserError
from kerassl._io.file_names import nfc

_MOST = 100_000
_NAME = re.compile(r"part-(\d{1,6})-of-(\d{1,6})", re.ASCII)


class Part(typing.NamedTuple):
    """One of several shares.

    Attributes:
        number: int, from 1 on.
        of: int, how many there are.
    """

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    @property
    def name(self) -> str:
        """The name of its output, as `part-03-of-16`, in the order of the numbers."""
        width = len(str(self.of))
        return f"part-{self.number:0{width}d}-of-{self.of}"

    def places(self, names: Iterable[str]) -> list[int]:
        """Return the indices of the names that belong to it.

        Each name belongs to one share, whatever other names there are, on every machine: by its SHA-256.

        Args:
            names: file names with `/`, relative to the folder that is shared out.
        """
        digests = (hashlib.sha256(nfc(name).encode("utf-8", "surrogatepass")).digest() for name in names)
        return [
            place
            for place, digest in enumerate(digests)
            if int.from_bytes(digest[:8], "big") % self.of == self.number - 1
        ]


def read_part(part: str | Part | None) -> Part | None:
    """Return the share that `"3/16"` names; None for None."""
    if part is None or isinstance(part, Part):
        return part
    found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", str(part).strip(), re.ASCII)
    number, of = map(int, found.groups()) if found else (0, 0)
    if not 1 <= number <= of <= _MOST:
        raise UserError(f"the part is {str(part)[:40]!r}; give which one of how many, from 1 on, as 3/16")
    return Part(number, of)


def relative_names(paths: Sequence[str | os.PathLike], given: Iterable[str | os.PathLike]) -> list[str]:
    """Return paths relative to the folder that all that was given has in common, with `/`.

    Args:
        paths: files.
        given: the folders and files in which they were found.
    """
    folders = {os.path.abspath(each if os.path.isdir(each) else os.path.dirname(os.fspath(each))) for each in given}
    try:
        root = os.path.commonpath(folders)
    except ValueError:  # on several drives
        return [pathlib.Path(os.path.abspath(path)).as_posix() for path in paths]
    return [pathlib.Path(os.path.relpath(path, root)).as_posix() for path in paths]


def part_outputs(folder: str | os.PathLike) -> list[pathlib.Path]:
    """Return the outputs of all shares in a folder, in their order; none where it holds no such outputs."""
    folder = pathlib.Path(folder)
    found = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        match = _NAME.fullmatch(path.stem if path.is_file() else path.name)
        if match:
            found[Part(*map(int, match.groups()))] = path
    if not found:
        return []
    counts = sorted({part.of for part in found})
    if len(counts) > 1:
        raise UserError(f"{folder} holds parts of {counts[0]} and of {counts[1]}; keep those of one run")
    missing = [str(part) for number in range(1, counts[0] + 1) if (part := Part(number, counts[0])) not in found]
    if missing:
        raise UserError(
            f"{folder} lacks {len(missing)} of {counts[0]} parts, {', '.join(missing[:5])} first; run them (--part "
            f"{missing[0]})"
        )
    return [found[part] for part in sorted(found)]
