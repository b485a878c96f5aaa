"""Messages of TensorFlow's libraries at their import are dropped, and nothing else, whatever ends the import."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.current_stack

NOISE = (
    "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n"
    "I0000 00:00:1796026599.060210   13483 port.cc:153] oneDNN custom operations are on.\n"
    "E0000 00:00:1796026603.927786   13483 cuda_platform.cc:52] failed call to cuInit: UNKNOWN ERROR (303)\n"
)


@pytest.mark.parametrize(
    ("block", "status", "message"),
    [
        ("os.write(2, noise)", 0, "before\nafter\n"),
        ("os.write(2, b'ours\\n' + noise + b'no new line')", 0, "before\nours\nno new lineafter\n"),
        ("os.write(2, noise + b'F0000 00:00:1.1 3 a.cc:1] Check failed: x\\n'); os.abort()", -6,
         "before\nF0000 00:00:1.1 3 a.cc:1] Check failed: x\n" + NOISE),
        ("os.write(2, noise); os._exit(3)", 3, "before\n" + NOISE),
        ("os.write(2, noise); sys.stderr.write('kept\\n'); raise KeyError('planted')", 1, NOISE),
        ("os.close(2)", 0, "before\nafter\n"),
    ],
    ids=["noise", "other lines", "abort", "exit", "exception", "closed"],
)  # fmt: skip
def test_reason_is_printed_when_an_import_fails_and_noise_when_there_is_no_other(block, status, message):
    code = (
        f"import os, sys\nfrom kerassl._quiet import quiet\nnoise = {NOISE.encode()!r}\n"
        f"os.write(2, b'before\\n')\nwith quiet():\n    {block}\nos.write(2, b'after\\n')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == status
    if status == 1:
        assert "kept\n" in done.stderr
        assert "KeyError: 'planted'" in done.stderr
        assert NOISE in done.stderr
    else:
        assert done.stderr == message


def test_command_says_nothing_but_its_own_words_when_it_loads_tensorflow(tmp_path):
    Image.fromarray(np.zeros([64, 64, 3], np.uint8)).save(tmp_path / "a.png")
    command = [sys.executable, "-m", "kerassl", "views", "a.png", "--image-size", "32", "--out", "v.png"]
    plain = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    done = subprocess.run(command, cwd=tmp_path, env=plain, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "1 images: v.png\n"
