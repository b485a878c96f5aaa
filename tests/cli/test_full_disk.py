import errno
import os

import pytest

from kerassl.cli.main import _full_disk, main

pytestmark = pytest.mark.current_stack


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_command_is_refused_and_leaves_nothing_when_the_disk_is_full(number, tmp_path, monkeypatch, capsys):
    def refuse(source, target):
        raise OSError(number, os.strerror(number), str(target))

    monkeypatch.setattr(os, "replace", refuse)
    scenes = ["scenes", "--train", "1", "--val", "1", "--unlabeled", "0", "--out", str(tmp_path / "scenes")]
    assert main(scenes) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith("kerassl: ")
    assert f"cannot be written ({os.strerror(number)}); make room or choose another place" in lines[-1]
    assert not any("Traceback" in line for line in lines)
    assert not list(tmp_path.iterdir())


def test_full_disk_is_seen_behind_what_a_library_made_of_it_and_nothing_else_is():
    def chained(cause):
        error = ValueError("cannot close the archive")
        error.__context__ = cause
        return error

    full = os.strerror(errno.ENOSPC)
    assert full in _full_disk(chained(OSError(errno.ENOSPC, full)))
    assert full in _full_disk(OSError(f"Unable to write (errno = 28, error message = '{full}')"))  # as h5py has it
    assert _full_disk(chained(OSError(errno.ENOENT, "no such file"))) is None
    assert _full_disk(ValueError(full)) is None
