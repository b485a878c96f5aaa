import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.current_stack

CLI = ["-m", "kerassl", "pretrain", "--images", "nowhere", "--out", "nowhere"]


def python(*arguments, **environment):
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=200, env={**os.environ, **environment}
    )


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"KERAS_BACKEND": "jax"}, "KERAS_BACKEND is 'jax'"),
        ({"TF_USE_LEGACY_KERAS": "1"}, "TF_USE_LEGACY_KERAS=1"),
        ({"KERAS_HOME": "first"}, "first/keras.json sets image_data_format to 'channels_first'"),
    ],
)
def test_environment_that_kerassl_cannot_run_in_is_refused_in_one_line(environment, message, tmp_path):
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "keras.json").write_text('{"image_data_format": "channels_first"}')
    if "KERAS_HOME" in environment:
        environment = {"KERAS_HOME": str(tmp_path / "first")}
    done = python(*CLI, **environment)
    assert done.returncode == 2
    assert done.stderr.startswith("kerassl: ")
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_packages_are_loaded_when_they_are_used():
    heavy = ("tensorflow", "keras", "keras_cv", "tf_keras_vis", "matplotlib")
    code = (
        f"import sys, kerassl; print([name for name in {heavy} if name in sys.modules], 'SimCLR' in dir(kerassl));"
        "kerassl.SimCLR; kerassl.datasets.ResumableDataset; kerassl.metrics.voc_ap;"
        "print('keras_cv' in sys.modules, 'tf_keras_vis' in sys.modules);"
        "kerassl.detectors.RetinaNet; print('keras_cv' in sys.modules)"
    )
    printed = python("-c", code).stdout
    assert printed.split() == ["[]", "True", "False", "False", "True"]
