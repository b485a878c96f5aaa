"""Runs refused command lines in a process that cannot import TensorFlow; a list of them comes in as JSON."""

import contextlib
import io
import json
import os
import pathlib
import sys
import time


class _NoTensorFlow:
    def find_spec(self, name, path=None, target=None):
        if name in ("tensorflow", "keras", "keras_cv"):
            raise RuntimeError(f"a refusal imports {name}")


def _files():
    return sorted(str(path) for path in pathlib.Path(".").rglob("*"))


def main():
    sys.meta_path.insert(0, _NoTensorFlow())
    from kerassl.cli.main import main as kerassl

    before, found = _files(), []
    for arguments in json.load(sys.stdin):
        errors, began = io.StringIO(), time.process_time()
        with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
            try:
                status = kerassl(arguments)
            except BaseException as error:
                status = f"{type(error).__name__}: {error}"
        found.append([status, errors.getvalue(), time.process_time() - began, sorted({*_files()} ^ {*before})])
    json.dump(found, sys.stdout)
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
