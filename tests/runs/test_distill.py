"""Distillation from the command line to the figures of a run, on the smallest network."""

import importlib.util
import json

import numpy as np
import pytest
from PIL import Image

from kerassl import backbones
from kerassl.cli import main as cli

pytestmark = pytest.mark.current_stack

SIZES = ["--image-size", "32", "--batch-size", "8"]


@pytest.fixture
def place(tmp_path, monkeypatch, tiny_backbone, eagerly):
    """A folder with photos and a teacher, where every network that is built is the smallest."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(backbones, "build", lambda name, **_: tiny_backbone(4))
    (tmp_path / "photos").mkdir()
    for number, image in enumerate(np.random.default_rng(0).integers(0, 255, (16, 40, 50, 3), "uint8")):
        Image.fromarray(image).save(tmp_path / "photos" / f"{number}.png")
    backbones.save(tiny_backbone(6, name="large"), tmp_path / "teacher.keras")
    return tmp_path


def test_distillation_saves_a_plain_student_and_may_grow_when_it_is_resumed(place):
    command = ["distill", "--images", "photos", "--teacher", "teacher.keras", "--student", "MobileNet", *SIZES]
    command += ["--contrast", "global", "--contrast-weight", "0.2"]
    assert cli.main([*command, "--epochs", "1", "--out", "run"]) == 0
    first = json.loads((place / "run" / "distill.json").read_text())
    assert cli.main(["distill", "--out", "run", "--resume", "--epochs", "2"]) == 0
    figures = json.loads((place / "run" / "distill.json").read_text())
    assert (first["epochs"], figures["epochs"], figures["steps"]) == (1, 2, 4)
    assert figures["levels"] == ["P4", "P5"]
    assert figures["loss"] == pytest.approx((figures["P4_loss"] + figures["P5_loss"]) / 2, rel=1e-5)
    assert 0 < figures["loss"] < 2
    assert (figures["contrast"]["kind"], figures["contrast"]["weight"]) == ("global", 0.2)
    assert 0 < figures["contrast"]["loss"] < 10
    assert "teacher.keras" in figures["teacher_seen"]
    lines = [json.loads(line) for line in (place / "run" / "metrics.jsonl").read_text().splitlines()]
    epochs = [line for line in lines if line["kind"] == "epoch"]
    assert [line["stage"] for line in epochs] == ["distill"] * 2
    parts = 0.8 * epochs[-1]["distillation_loss"] + 0.2 * epochs[-1]["contrast_loss"]
    assert epochs[-1]["loss"] == pytest.approx(parts, rel=1e-5)
    student = backbones.load(place / "run" / "backbone.keras")
    assert [weight.shape for weight in student.weights] == [weight.shape for weight in backbones.build("x").weights]
    assert (place / "run" / "report.html").exists()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "--teacher"),
        (["--teacher", "MobilNet"], "MobilNet"),
        (["--teacher", "nothing.keras"], "nothing.keras"),
        (["--teacher", "photos/0.png"], "photos/0.png"),
        (["--teacher", "MobileNet", "--teacher-weights", "nothing.npz"], "nothing.npz"),
        (["--teacher", "teacher.keras", "--teacher-weights", "imagenet"], "teacher.keras, which has weights"),
        (["--teacher", "teacher.keras", "--teacher-cut-at", "act4"], "teacher.keras, which has weights"),
        (["--teacher", "kerashub:dinov2_small"], "pip install keras-hub"),
        (["--teacher", "teacher.keras", "--contrast-weight", "2"], "--contrast-weight"),
        (["--teacher", "teacher.keras", "--student", "nothing.keras"], "--student is nothing.keras"),
        (["--teacher", "teacher.keras", "--batch-size", "17"], "distill.batch_size"),
    ],
)
def test_distillation_is_refused_in_one_line_when_an_argument_is_invalid(arguments, named, place, capsys, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *at: None if name == "keras_hub" else find(name, *at))
    assert cli.main(["distill", "--images", "photos", *SIZES, *arguments, "--out", "new"]) == 2
    error = capsys.readouterr().err.strip()
    assert named in error
    assert "\n" not in error
    assert not (place / "new").exists() or not any((place / "new").glob("*.keras"))


def test_plan_of_a_distillation_names_what_it_leaves(place, capsys):
    assert cli.main(["distill", "--images", "photos", "--teacher", "MobileNet", *SIZES, "--out", "run", "--plan"]) == 0
    assert "distill.json" in capsys.readouterr().out
    assert not (place / "run").exists()
