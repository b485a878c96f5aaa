"""The scripts in examples/, one after the other, as a person would run them."""

import pathlib
import runpy
import subprocess
import sys

import pytest

from kerassl import _compat, backbones, datasets

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"


def script(name, *arguments, cwd):
    """Runs a script and returns what it printed."""
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Scenes, and the backbone and the detector that the first two scripts make of them."""
    folder = tmp_path_factory.mktemp("examples")
    datasets.write_scenes(folder / "scenes", train=16, val=6, unlabeled=24)
    return folder


@pytest.fixture(scope="module")
def backbone(folder):
    small = ["--backbone", "MobileNet", "--image-size", 32, "--batch-size", 8, "--epochs", 2]
    printed = script("pretrain.py", "scenes/unlabeled", *small, "--out", "backbone.keras", cwd=folder)
    assert "2.71 is chance" in printed  # ln 15
    return folder / "backbone.keras"


@pytest.fixture(scope="module")
def detector(folder, backbone):
    small = ["--image-size", 64, "--epochs", 1, "--classes", *datasets.SCENE_CLASSES]
    arguments = ["scenes", "--backbone", backbone, *small, "--out", "detector.keras"]
    printed = script("finetune_detector.py", *arguments, cwd=folder)
    assert "AP50 by the rules of VOC 2010 on 6 images: 0." in printed
    return folder / "detector.keras"


@pytest.mark.slow
@pytest.mark.current_stack  # beside Keras 2.15 a detector's graphs take a minute each
def test_heatmaps_are_drawn(folder, detector):
    images = ["scenes/VOC2007/JPEGImages", "--level", "P4"]
    printed = script("gradcam.py", "--models", f"ours={detector}", "--images", *images, cwd=folder)
    assert (folder / "gradcam.png").read_bytes().startswith(b"\x89PNG")
    assert any(name in printed for name in datasets.SCENE_CLASSES)


@pytest.mark.slow
@pytest.mark.current_stack
def test_servable_is_exported_and_answers(folder, detector):
    image = next((folder / "scenes" / "VOC2007" / "JPEGImages").iterdir())
    printed = script("export_servable.py", detector, "--image", image, "--out", "servables/toys/1", cwd=folder)
    assert "wrote servables/toys/1" in printed
    assert (folder / "servables" / "toys" / "1" / "saved_model.pb").exists()


def test_pretraining_beside_addons_needs_addons_and_works_there(folder, monkeypatch, capsys):
    small = [
        "--backbone",
        "MobileNet",
        "--image-size",
        "32",
        "--batch-size",
        "8",
        "--epochs",
        "1",
        "--out",
        "turned.keras",
    ]
    if not _compat.KERAS_3:  # in this process, which has TensorFlow
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", ["pretrain_addons.py", "scenes/unlabeled", *small])
        runpy.run_path(str(EXAMPLES / "pretrain_addons.py"), run_name="__main__")
        assert "wrote turned.keras" in capsys.readouterr().out
        assert backbones.load(folder / "turned.keras").output_shape[-1] == 1024
        return
    command = [sys.executable, str(EXAMPLES / "pretrain_addons.py"), "scenes/unlabeled", *small]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("this example needs tensorflow-addons")
