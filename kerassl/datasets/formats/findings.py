"""Annotations that a reader left out or fixed."""

import collections
import contextlib
import contextvars
import logging

from kerassl._display import printable
from kerassl._errors import UserError

log = logging.getLogger("kerassl")

_COLLECTED: contextvars.ContextVar = contextvars.ContextVar("collected", default=None)
_MOST = 0.1  # share of the labels that may be unreadable

EMPTY = "boxes without an area left out"
INVERTED = "inverted boxes left out"


@contextlib.contextmanager
def collected():
    """Collect what is left out or fixed by all readers in the block; the list of their `Findings`."""
    found = []
    token = _COLLECTED.set(found)
    try:
        yield found
    finally:
        _COLLECTED.reset(token)


class Findings:
    """Collect faults that are fixed or left out: each broken file is named, other faults get one line a kind.

    Args:
        strict: bool. Raise `UserError` at the first instead.
        allow_broken: bool. Also continue where more than a tenth of the labels cannot be read.

    Attributes:
        files: list of str, the files that were left out, each with its reason.
        sizes: list of str, the images whose size is not the stated one, whichever side is the longer.
        found: dict of str to list of str, the places of each other kind of fault.
        objects: int, the objects of the images that were read, with those that were left out.
    """

    def __init__(self, strict=False, allow_broken=False):
        self.strict = strict
        self.allow_broken = allow_broken
        self.files, self.sizes, self.objects = [], [], 0
        self.found = collections.defaultdict(list)
        self._unread = {"annotation files": [], "images": [], "objects": []}
        if _COLLECTED.get() is not None:
            _COLLECTED.get().append(self)

    def broken(self, message, label=False):
        """Note a file that cannot be read, and name it in the log at once.

        Args:
            message: str, the file and what is wrong with it.
            label: bool. Whether it is a file of labels, and not an image.
        """
        message = _one_line(message)
        if self.strict:
            raise UserError(f"{message}; fix or remove the file, or read without strict")
        self.files.append(message)
        self._unread["annotation files" if label else "images"].append(message)
        log.warning("broken file %d: %s; its image is left out", len(self.files), printable(message))

    def add(self, kind, where, unread=False):
        """Note another fault.

        Args:
            kind: str, what it is and what was done about it, as `"boxes without an area left out"`.
            where: str, the file and the value.
            unread: bool. Whether it is an object that cannot be read.
        """
        where = _one_line(where)
        if self.strict:
            raise UserError(
                f"{where}: strict reading stops here ({kind} otherwise); fix the file or read without strict"
            )
        self.found[kind].append(where)
        if unread:
            self._unread["objects"].append(f"{where} ({kind})")

    def missing(self, problem, where):
        """Note an image that is not found.

        Args:
            problem: str, as `places.locate` returns it.
            where: str, where it is named, and the name.
        """
        self.add(f"images {problem} left out", where)
        self._unread["images"].append(f"{self.found[f'images {problem} left out'][-1]} (images {problem})")

    def report(self, files=0, images=0, objects=0):
        """Write one line a kind to the log.

        Args:
            files: int. Files of labels that were to be read.
            images: int. Images that were to be read; 0 where the labels name none.
            objects: int. Objects that were to be read.

        Raises:
            UserError: if more than a tenth of either cannot be read, or no box has an area, unless `allow_broken`.
        """
        if not self.allow_broken:
            self._refuse(files, images, objects)
        for kind, places in self.found.items():
            more = f" and {len(places) - 3} more" if len(places) > 3 else ""
            log.warning("%d %s: %s%s", len(places), kind, printable("; ".join(places[:3])), more)

    def _refuse(self, files, images, objects):
        fact, empty = None, self.found.get(EMPTY)
        if empty and len(empty) + len(self.found.get(INVERTED, ())) == self.objects:
            fact = f"none of {self.objects} boxes has an area; the first: {empty[0]}"
        for what, total in (("annotation files", files), ("images", images), ("objects", objects)):
            unread = self._unread[what]
            if fact is None and len(unread) > _MOST * total and (total or what != "images"):
                fact = f"{len(unread)} of {total} {what} cannot be read, more than a tenth; the first: {unread[0]}"
        if fact is not None:
            raise UserError(
                f"{fact}; fix them, or leave them out with allow_broken=True",
                f"{fact}; fix them, or leave them out with --allow-broken-labels",
            )


def _one_line(text):
    return " ".join(text.splitlines())
