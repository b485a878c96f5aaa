"""Names of classes and images as names of files, and the forms that a name has in Unicode."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import TypeVar

_Path = TypeVar("_Path")

_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE | re.DOTALL)
_ALSO_SAFE = " _-.()+,=@&'!#"


def file_name(name: str, limit: int = 100) -> str:
    """Return a name as a valid part of a file's name: the name itself wherever it can be.

    Other characters are percent-encoded as UTF-8, so that different names stay different; a name that is too long is
    cut, and ends in `~` and a part of its checksum.

    Args:
        name: Any string.
        limit: The most bytes of the result, above 20.

    Returns:
        A name without `/`, control characters, or what any of the usual file systems refuses.

    Example:
        >>> file_name("car/van")
        'car%2Fvan'
    """
    return _short(name, _quoted(name, lambda character: character.isalnum() or character in _ALSO_SAFE), limit)


def file_names(names: Sequence[str], limit: int = 100) -> list[str]:
    """Return the `file_name` of each of several names, different also where a file system ignores case."""
    made = [file_name(name, limit) for name in names]
    folded = [each.casefold() for each in made]
    return [
        _short(name, _quoted(name, lambda character: character in "abcdefghijklmnopqrstuvwxyz0123456789_-"), limit)
        if folded.count(fold) > 1
        else each
        for name, each, fold in zip(names, made, folded)
    ]


def _quoted(name, is_safe):
    text = "".join(character if is_safe(character) else _percent(character) for character in name)
    if not text or text[0] in " ." or _RESERVED.fullmatch(text):
        text = _percent(text[:1]) + text[1:] if text else "%"
    if text[-1] in " .":
        text = text[:-1] + _percent(text[-1])
    return text


def _percent(character):
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))


def _short(name, text, limit):
    if len(text.encode()) <= limit:
        return text
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{text.encode()[: limit - 9].decode(errors='ignore')}~{digest}"


def nfc(name: str) -> str:
    """Return the composed form of a name, in which equal names are equal: macOS writes an é as two characters."""
    return unicodedata.normalize("NFC", name)


def by_name(paths: Mapping[str, _Path]) -> dict[str, _Path]:
    """Index files by their names in composed form; where two names differ in form alone, each keeps its own."""
    found = {name: path for name, path in paths.items() if nfc(name) == name}
    for name, path in paths.items():
        found[name if nfc(name) in found else nfc(name)] = path
    return found


def find_file(folder: str | os.PathLike, name: str) -> str | None:
    """Return the path of the file of a name, relative to the folder, in any of its forms; None where there is none."""
    for each in dict.fromkeys((name, nfc(name), unicodedata.normalize("NFD", name))):
        path = os.path.join(folder, each)
        if os.path.isfile(path):
            return path
    return None
