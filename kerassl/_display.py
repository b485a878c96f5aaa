"""Display: names that users gave (of files, classes, variants) as text to print and draw, and progress bars."""

from __future__ import annotations

import sys
import unicodedata
from typing import Any

_MOST = 20_000  # pixels a side: matplotlib draws less than 65,536, and few programs open as many
# Marks that change the direction of what follows them: a line would show its characters in another order.
_DIRECTIONS = {*range(0x202A, 0x202F), *range(0x2066, 0x206A)}


def printable(text: Any) -> str:
    """Return text on one line that every terminal, log and file can hold.

    Control characters and line breaks become escapes as in a Python literal. So do bytes of a file name that are not
    UTF-8, which Python keeps as lone surrogates and no encoder accepts.

    Args:
        text: str, or anything that `str` takes.

    Returns:
        Str without control characters and surrogates; the same where there are none.

    Example:
        >>> printable(os.fsdecode(b"caf\\xe9\\n.jpg"))
        'caf\\\\xe9\\\\n.jpg'
    """
    text = str(text)
    return text if text.isascii() and text.isprintable() else "".join(map(_escaped, text))


def _escaped(character):
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte, as `os.fsdecode` keeps it
        return f"\\x{code - 0xDC00:02x}"
    if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or code in _DIRECTIONS:
        return character.encode("unicode_escape").decode("ascii")
    return character


def shortened(text: Any, longest: int = 60) -> str:
    """Return printable text of at most `longest` characters, with `…` for the part left out of its middle.

    Args:
        longest: int, 3 or more.
    """
    text = printable(text)
    if len(text) <= longest:
        return text
    head = (longest - 1) // 2
    return f"{text[:head]}…{text[head + 1 - longest :]}"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, as `"1 image"` or `"2 images"`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def plotted(text: Any, longest: int = 60) -> str:
    r"""Return text that matplotlib draws as it is: it takes what is between two dollars for mathematics.

    Args:
        longest: int; see `shortened`.

    Returns:
        Str for a title, label or tick of matplotlib, where `\$` is drawn as `$`.
    """
    text = shortened(text, longest).replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text  # legends leave out what begins with an underscore


def fitting_dpi(figure: Any, dpi: float) -> float:
    """Return the dots per inch at which a matplotlib figure is drawn: `dpi`, or fewer where it would be too large."""
    return min(dpi, _MOST / max(figure.get_size_inches()))


def verbosity() -> int:
    """Return Keras's `verbose`: 1, a progress bar, on a terminal; 2, a line an epoch, in a file."""
    return 1 if sys.stdout.isatty() else 2
