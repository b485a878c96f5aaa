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


@pytest.fixture(scope="module")
def imports():
    """A process that uses one package after the other where the system has no `fcntl` and no `resource`."""
    heavy = ("tensorflow", "keras", "keras_cv", "tf_keras_vis", "matplotlib")
    code = (
        "import importlib, pkgutil, sys; sys.modules['fcntl'] = sys.modules['resource'] = None; import kerassl\n"
        f"print([name for name in {heavy} if name in sys.modules], 'SimCLR' in dir(kerassl))\n"
        "kerassl.SimCLR; kerassl.datasets.ResumableDataset; kerassl.metrics.voc_ap\n"
        "print('keras_cv' in sys.modules, 'tf_keras_vis' in sys.modules)\n"
        "kerassl.detectors.RetinaNet; print('keras_cv' in sys.modules)\n"
        "for module in pkgutil.walk_packages(kerassl.__path__, 'kerassl.'):\n"
        "    module.name == 'kerassl.__main__' or importlib.import_module(module.name)\n"
        "print('imported')"
    )
    return python("-c", code)


def test_packages_are_loaded_when_they_are_used(imports):
    assert imports.stdout.split()[:5] == ["[]", "True", "False", "False", "True"]


def test_every_module_is_imported_when_the_system_has_no_fcntl_or_resource(imports):
    assert imports.stdout.endswith("imported\n"), imports.stderr
