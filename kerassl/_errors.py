"""The exception for input that kerassl cannot use."""

from __future__ import annotations

from kerassl._display import printable


class UserError(ValueError):
    """Invalid input, in one line: what was wrong, what is accepted, what to do.

    In Python it is a `ValueError`; the `kerassl` command prints it without a traceback and
    exits with status 2. Names in it may hold line breaks or undecodable bytes, which are escaped.

    Args:
        message: str, the line.
        shell: str or None. The line for the command line, where its advice differs: flags in place of arguments.
    """

    def __init__(self, message: str = "", shell: str | None = None) -> None:
        super().__init__(printable(message))
        self.shell = printable(message if shell is None else shell)
