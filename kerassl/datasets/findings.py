"""What a reader of annotations left out or mended."""

import collections
import logging

from kerassl._errors import UserError

log = logging.getLogger("kerassl")


class Findings:
    """Faults that are mended or left out: whole files are named each, the rest is told in one line a kind.

    Args:
        strict: bool. Raise `UserError` at the first instead.

    Attributes:
        files: list of str, the files that were left out, each with its reason.
        found: dict of str to list of str, the places of each other kind of fault.
    """

    def __init__(self, strict=False):
        self.strict = strict
        self.files = []
        self.found = collections.defaultdict(list)

    def broken(self, message):
        """Notes a file that cannot be read, and names it in the log at once.

        Args:
            message: str, the file and what is wrong with it.
        """
        if self.strict:
            raise UserError(f"{message}; mend or remove the file, or read without strict")
        self.files.append(message)
        log.warning("broken file %d: %s; its image is left out", len(self.files), message)

    def add(self, kind, where):
        """Notes another fault.

        Args:
            kind: str, what it is and what was done about it, as `"boxes without an area left out"`.
            where: str, the file and the value.
        """
        if self.strict:
            raise UserError(
                f"{where}: strict reading stops here ({kind} otherwise); mend the file or read without strict"
            )
        self.found[kind].append(where)

    def tell(self):
        """Writes one line a kind to the log."""
        for kind, places in self.found.items():
            more = f" and {len(places) - 3} more" if len(places) > 3 else ""
            log.warning("%d %s: %s%s", len(places), kind, "; ".join(places[:3]), more)
