"""Locks of folders, between processes and where the system has none."""

import subprocess
import sys

import pytest

from kerassl import UserError
from kerassl._io import files
from kerassl._io.manifest import LOCK

pytestmark = pytest.mark.current_stack

HOLD = (
    "import sys, time; from kerassl._io import files\n"
    "with files.locked(sys.argv[1]) as free:\n    print(free, flush=True)\n    time.sleep(60)"
)


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of `tmp_path`."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "True\n"
    yield process
    process.kill()
    process.wait()


def test_a_lock_is_refused_while_another_process_holds_it_and_free_when_it_is_killed(tmp_path, holder):
    (tmp_path / ".kerassl.jsonl").write_text('{"format": "kerassl manifest 1", "kind": "run"}\n')
    with files.locked(tmp_path) as free:
        assert free is False
    with pytest.raises(UserError, match="another process is writing to"), files.claimed(tmp_path, "run"):
        pass
    holder.kill()
    holder.wait()
    assert (tmp_path / LOCK).exists()
    with files.locked(tmp_path) as free, files.locked(tmp_path) as again:
        assert (free, again) == (True, False)
    assert not (tmp_path / LOCK).exists()


def test_a_folder_that_cannot_be_locked_is_reported(tmp_path):
    (tmp_path / "file").touch()
    with files.locked(tmp_path / "file") as free:
        assert free is None
