"""A detector's neck before the labels, as a configuration asks for it."""

import dataclasses
import json

import numpy as np
import pytest

from kerassl import backbones, datasets, detectors
from kerassl.experiment import arms, finetuning, neck
from kerassl.experiment.config import read_config
from kerassl.experiment.sources import sources

SECTION = {"image_size": 64, "batch_size": 4, "epochs": 1, "kind": "yolov8", "width": 8, "neck": {"epochs": 1}}
SCENES = {"train": 4, "val": 2, "unlabelled": 2, "single_object": True}


@pytest.fixture
def config():
    return read_config(None, {"detector": SECTION, "data.scenes": SCENES, "arms": {"random": "random"}})


def test_neck_is_trained_without_a_label_once_and_then_taken_from_the_arms_folder(
    config, tiny_backbone, tmp_path, monkeypatch
):
    data = sources(config, tmp_path)
    # Whoever read a label would fail.
    blind = [dataclasses.replace(record, boxes=None, classes=None, difficult=None) for record in data.train]
    data = dataclasses.replace(data, train=blind)
    backbone = tiny_backbone()

    def detector():
        return detectors.yolov8(backbone, datasets.SCENE_CLASSES, image_size=64, width=8)

    asked = []

    def train(detector, records, **own):
        asked.append(own)
        assert all(len(record.boxes) for record in records)
        layer = detector.get_layer("neck_p3_conv")
        layer.set_weights([weight + 1 for weight in layer.get_weights()])

    monkeypatch.setattr(detectors, "pretrain_neck", train)
    one, other, out = detector(), detector(), tmp_path / "arm"
    neck.pretrain_neck(config, one, data, out)
    neck.pretrain_neck(config, other, data, out)
    assert [own["epochs"] for own in asked] == [1]
    assert neck.minutes(out) > 0
    tables = [backbones.table(model) for model in (one, other)]
    with np.load(out / "detector_neck.npz") as file:
        assert len(file) > 50
        for name in file:
            for table in tables:
                np.testing.assert_array_equal(table[name], file[name])
    drawn = sorted((out / "pseudo_boxes").iterdir())
    assert 1 <= len(drawn) <= 6
    assert all(picture.read_bytes().startswith(b"\x89PNG") for picture in drawn)


@pytest.mark.slow
@pytest.mark.current_stack
def test_fine_tuning_begins_with_the_neck(config, tiny_backbone, tmp_path, monkeypatch):
    monkeypatch.setattr(finetuning.backbones, "build", lambda name, **_: tiny_backbone())
    data, out = sources(config, tmp_path), tmp_path / "arm"
    finetuning.finetune(config, "detector", "random", data, tmp_path, out, "x")
    assert (out / "detector_neck.npz").exists()
    figures = json.loads((out / "detector.json").read_text())
    assert figures["kind"] == "yolov8"
    assert figures["neck_minutes"] == neck.minutes(out)


def test_report_tells_what_the_neck_has_seen(config):
    told = arms.seen_by(config, "random", None, True)
    assert told.startswith("no image before its fine-tuning. The neck of its detector saw up to 2000 of the images")
    config.detector.neck = None
    assert arms.seen_by(config, "random", None, True) == "no image before its fine-tuning."
