"""Runs that are done in pieces: a limit on the wall-clock time of one of them."""

import time

from kerassl._errors import UserError


class OutOfTimeError(Exception):
    """The limit is over and what was done is kept; something is left to do."""


class TimeLimit:
    """A number of minutes from now on.

    Args:
        minutes: float > 0, or None for no limit.

    Raises:
        UserError: if it is not above 0.
    """

    def __init__(self, minutes=None):
        if minutes is not None and not minutes > 0:
            raise UserError(f"--minutes is {minutes}; give a number above 0, as 55 for pieces of an hour")
        self._end = None if minutes is None else time.monotonic() + 60 * minutes

    def over(self):
        return self._end is not None and time.monotonic() >= self._end

    def check(self):
        """Raises `OutOfTimeError` if it is over: to be asked before the next piece of work."""
        if self.over():
            raise OutOfTimeError
