"""Standard error of a command: of Python, of warnings, of loggers and of native libraries."""

import contextlib
import logging
import os
import sys
import tempfile
import warnings

from kerassl import _compat
from kerassl.cli.main import main


class _Heard(logging.Handler):
    def __init__(self, lines):
        super().__init__(logging.WARNING)
        self.lines = lines

    def emit(self, record):
        if not record.name.startswith("kerassl"):
            self.lines.append(f"{record.name}: {record.getMessage()}")


def quiet(arguments):
    """`main`, which must say nothing on good input; beside Keras 2.15 a line of XLA's is let pass."""
    lines = []
    heard, loggers = _Heard(lines), [logging.getLogger(name) for name in ("", "tensorflow", "absl")]
    with tempfile.TemporaryFile("w+") as file, contextlib.ExitStack() as stack:
        kept, own = os.dup(2), sys.stderr
        caught = stack.enter_context(warnings.catch_warnings(record=True))
        warnings.simplefilter("default")
        for logger in loggers:
            logger.addHandler(heard)
        try:
            os.dup2(file.fileno(), 2)
            sys.stderr = os.fdopen(os.dup(2), "w")
            status = main(arguments)
        finally:
            sys.stderr.close()
            sys.stderr = own
            os.dup2(kept, 2)
            os.close(kept)
            for logger in loggers:
                logger.removeHandler(heard)
        file.seek(0)
        lines += file.read().splitlines()
    lines += [f"{each.filename}:{each.lineno} {each.message}" for each in caught if _shown(each)]
    if not _compat.KERAS_3:
        lines = [line for line in lines if "absl::InitializeLog" not in line and "Compiled cluster" not in line]
    assert not lines, "\n".join(lines)
    return status


def _shown(warning):
    # As Python shows them by default.
    return not issubclass(warning.category, (DeprecationWarning, PendingDeprecationWarning, ResourceWarning))
