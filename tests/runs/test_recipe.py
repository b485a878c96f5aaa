"""The recipe of fine-tuning, from the configuration to the saved model, on the smallest network."""

import json
import re

import keras
import numpy as np
import pytest

from kerassl import callbacks
from kerassl.cli.main import main
from kerassl.datasets import SCENE_CLASSES, write_scenes
from kerassl.runs import finetune as finetuning

pytestmark = pytest.mark.current_stack

RECIPE = """
localizer:
  image_size: 64
  batch_size: 4
  epochs: 2
  learning_rate: 0.01
  lr_multipliers: {backbone: 0.5}
  warmup: 0.2
  clip_norm: 1
  weight_decay: 0.01
  unfreeze: {backbone: 1, stem: null}
  batch_norm: re-estimated
  ema: 0.5
"""


@pytest.fixture
def finetune(tiny_backbone, tmp_path, monkeypatch):
    """`finetune(out, text, *flags)`: the command's exit status, on 10 scenes with the tiny backbone."""
    monkeypatch.setattr(finetuning.backbones, "build", lambda name, **_: tiny_backbone())
    monkeypatch.setattr(finetuning, "CHECKPOINTS", {"every": 1})
    scenes = write_scenes(tmp_path / "scenes", train=10, val=4, unlabeled=2, single_object=True)

    def run(out, text, *flags):
        (tmp_path / "run.yaml").write_text(text)
        data = ["--data", str(scenes), "--classes", *SCENE_CLASSES]
        config = ["--config", str(tmp_path / "run.yaml"), "--out", str(tmp_path / out)]
        return main(["finetune", "--task", "localizer", "--weights", "random", *data, *config, *flags])

    return run


def weights_of(path):
    return keras.saving.load_model(path).get_weights()


@pytest.mark.slow
def test_killed_finetuning_resumes_to_the_same_bits_with_all_options(finetune, tmp_path, monkeypatch):
    assert finetune("whole", RECIPE) == 0

    written = callbacks.MetricsFile.on_train_batch_end
    step = 5  # the second of three of the second epoch; it is not saved

    def killed(self, batch, logs=None):
        written(self, batch, logs)
        if self._step == step:
            raise KeyboardInterrupt

    monkeypatch.setattr(callbacks.MetricsFile, "on_train_batch_end", killed)
    assert finetune("killed", RECIPE) == 130
    assert not (tmp_path / "killed" / "localizer.keras").exists()
    monkeypatch.setattr(callbacks.MetricsFile, "on_train_batch_end", written)
    assert finetune("killed", RECIPE, "--resume") == 0
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for expected, value in zip(weights_of(whole / "localizer.keras"), weights_of(killed / "localizer.keras")):
        np.testing.assert_array_equal(value, expected)
    figures = [json.loads((folder / "localizer.json").read_text()) for folder in (whole, killed)]
    assert figures[0]["mean_iou"] == figures[1]["mean_iou"]
    assert figures[0]["best"] == figures[1]["best"]
    assert not (killed / "localizer_checkpoints").exists()


def test_loss_that_is_nan_ends_the_run_in_one_line_and_saves_the_batch(finetune, eagerly, tmp_path, capsys):
    text = "localizer: {image_size: 64, batch_size: 4, epochs: 3, learning_rate: 1.0e+30, clip_norm: null, warmup: 0}"
    assert finetune("out", text) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert "Traceback" not in "".join(lines)
    assert re.search("(the loss|weights) became", lines[-1])
    assert str(tmp_path / "out" / "localizer_nan") in lines[-1]
    with np.load(tmp_path / "out" / "localizer_nan" / "batch.npz") as file:
        assert file["images"].shape[1:] == (64, 64, 3)
    assert not (tmp_path / "out" / "localizer.json").exists()
