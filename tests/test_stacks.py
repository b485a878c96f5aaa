"""Files that one stack writes and the other reads, and steps that both take alike."""

import os
import pathlib
import subprocess
import sys

import pytest

from kerassl import _compat

# On the current stack among the slow ones, which run when both environments are set up.
pytestmark = [pytest.mark.slow] if _compat.KERAS_3 else []

ROOT = pathlib.Path(__file__).parents[1]
PIPELINE = ROOT / "tests" / "stack_pipeline.py"
OTHER = ROOT / (".venv-addons" if _compat.KERAS_3 else ".venv") / "bin" / "python"


@pytest.fixture(scope="module")
def other():
    """Python of the other stack's environment, as `make` sets it up."""
    if not (OTHER.parents[1] / ".ready").exists():
        pytest.skip(f"there is no {OTHER.parents[1].name}; make test and make test-addons set up one stack each")
    return OTHER


def pipeline(python, *arguments):
    command = [str(python), str(PIPELINE), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, env={**os.environ, "PYTHONPATH": ""})
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]


def test_backbones_weights_servables_and_losses_are_the_same_on_the_other_stack(other, tmp_path):
    pipeline(sys.executable, "make", tmp_path)  # the way back is tested on the other stack
    pipeline(other, "check", tmp_path)
