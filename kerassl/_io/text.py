"""Reading text that other people's programs wrote: one place for encodings and for what is no text."""

from __future__ import annotations

import codecs
import os
import re
import stat

from kerassl._errors import UserError

_MARKS = (  # the longer ones first: that of UTF-32 begins as that of UTF-16 does
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)
_DECLARED = re.compile(rb"""\s*<\?xml[^>]*?encoding\s*=\s*["']([\w.:-]{1,40})["']""")
# Python knows more codecs than texts are written in, and some of them are slow on purpose-made input.
_ENCODINGS = re.compile(
    r"(utf-?8|utf-?16|us-?ascii|iso-?8859-?\d+|latin-?\d|(windows|cp)-?\d+|koi8-\w|mac[\w-]*|gb\w+|big5\w*|shift_?jis|"
    r"sjis|euc-?\w+|iso-?2022-?\w+)",
    re.IGNORECASE,
)


class UnreadableError(Exception):
    """The file is no text that can be read; the message goes after its name."""


def read_text(path: str | os.PathLike, remedy: str, most: int = 100_000_000) -> str:
    """Read a text file.

    UTF-8 is read with and without a byte order mark, UTF-16 and UTF-32 as Windows' tools write them too.

    Args:
        remedy: str. What to do if it cannot be read, for the message, as `"give a list of names"`.
        most: int. A longer file, in bytes, is refused unread.

    Returns:
        Str whose lines end in `\\n`.
    """
    try:
        return text_of(path, most)
    except UnreadableError as error:
        raise UserError(f"{path} {error}; {remedy}") from None


def text_of(path: str | os.PathLike, most: int = 100_000_000, xml: bool = False, errors: str = "strict") -> str:
    """`read_text` for readers that go on without the file.

    Args:
        path, most: see `read_text`.
        xml: bool. Decode by the file's XML declaration.
        errors: as of `bytes.decode`: `"replace"` also takes what is no text.

    Returns:
        See `read_text`.

    Raises:
        UnreadableError: if it cannot be read.
    """
    contents = _bytes(path, most)
    encoding = next((name for mark, name in _MARKS if contents.startswith(mark)), None) or _unmarked(contents, xml)
    try:
        text = contents.decode(encoding, errors)
    except UnicodeDecodeError as error:
        line = contents.count(b"\n", 0, error.start) + 1
        name = encoding.removesuffix("-sig").upper()
        raise UnreadableError(
            f"is no {name} (byte 0x{contents[error.start]:02x} in line {line}; it may be Latin-1 or another encoding): "
            "save it as UTF-8"
        ) from None
    if "\0" in text and errors == "strict":
        raise UnreadableError("is no text: it holds NUL bytes")
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def beginning_of(path: str | os.PathLike, length: int) -> str:
    """Return the beginning of a text, whatever is wrong with it.

    Args:
        path: see `read_text`.
        length: int, in bytes.

    Returns:
        Str; empty where the file cannot be read.
    """
    try:
        contents = _bytes(path, length, whole=False)
        encoding = next((name for mark, name in _MARKS if contents.startswith(mark)), None) or _unmarked(contents, True)
    except UnreadableError:
        return ""
    return contents.decode(encoding, "replace")


def _bytes(path, most, whole=True):
    try:
        found = os.stat(path)
        if stat.S_ISDIR(found.st_mode):
            raise UnreadableError("is a folder and no file")
        if not stat.S_ISREG(found.st_mode):  # reading a pipe without a writer would never end
            raise UnreadableError("is a pipe or a device and no file")
        if found.st_size > most and whole:
            raise UnreadableError(f"has {found.st_size / 1e6:.0f} MB; at most {most / 1e6:.0f} MB are read")
        with open(path, "rb") as file:
            return file.read(most)
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL in it
        raise UnreadableError(f"cannot be read ({getattr(error, 'strerror', None) or error})") from None


def _unmarked(contents, xml):
    """The encoding of what has no byte order mark."""
    # Text begins with ASCII mostly and holds no NUL: if every second byte is one, a character takes two.
    first, second = contents[:8:2], contents[1:8:2]
    for rest, zeros, order in ((first, second, "le"), (second, first, "be")):
        if len(contents) % 2 == 0 and contents and not any(zeros) and all(rest):
            return f"utf-16-{order}"
    declared = _DECLARED.match(contents) if xml else None
    if declared is None:
        return "utf-8"
    name = declared[1].decode()
    try:
        codecs.lookup(name)
    except LookupError:
        name = "?" + name
    if not _ENCODINGS.fullmatch(name):
        raise UnreadableError(f"declares the encoding {name.lstrip('?')!r}, which is not known: save it as UTF-8")
    return "utf-8" if name.lower().replace("-", "") == "utf16" else name
