"""Pre-training of a neck on pseudo-boxes, as a stage of a run."""

import dataclasses
import json

import numpy as np
import pytest

from kerassl import backbones, datasets, detectors
from kerassl._errors import UserError
from kerassl._io.manifest import Manifest
from kerassl.backbones import weights as backbone_weights
from kerassl.comparison import execute as compare
from kerassl.comparison.variants import seen_by
from kerassl.config.config import read_config
from kerassl.config.sources import sources
from kerassl.runs import finetune as finetuning
from kerassl.runs import pretrain_neck as neck
from kerassl.runs.plan.comparison import plan_comparison
from kerassl.runs.plan.training import plan_finetuning
from kerassl.types import LocalizationMetrics

pytestmark = pytest.mark.current_stack

SECTION = {"image_size": 64, "batch_size": 4, "epochs": 1, "kind": "yolov8", "num_filters": 8, "neck": {"epochs": 1}}
SCENES = {"train": 4, "val": 2, "unlabeled": 2, "single_object": True}


@pytest.fixture
def config():
    return read_config(None, {"detector": SECTION, "data.scenes": SCENES, "variants": {"random": "random"}})


def test_neck_is_trained_without_labels_and_loaded_when_its_file_exists(config, tiny_backbone, tmp_path, monkeypatch):
    Manifest.create(tmp_path, "run")
    data = sources(config, tmp_path)
    # Whoever read a label would fail.
    blind = [dataclasses.replace(record, boxes=None, classes=None, difficult=None) for record in data.train]
    data = dataclasses.replace(data, train=blind)
    backbone = tiny_backbone()

    def detector():
        return detectors.YOLOV8(backbone, datasets.SCENE_CLASSES, image_size=64, num_filters=8)

    asked = []

    def train(detector, records, **own):
        asked.append(own)
        assert all(len(record.boxes) for record in records)
        layer = detector.get_layer("neck_p3_conv")
        layer.set_weights([weight + 1 for weight in layer.get_weights()])

    monkeypatch.setattr(detectors, "pretrain_neck", train)
    one, other, out = detector(), detector(), tmp_path / "variant"
    neck.pretrain_neck(config.detector, "detector", one, data, out, 0)
    neck.pretrain_neck(config.detector, "detector", other, data, out, 0)
    assert [own["epochs"] for own in asked] == [1]
    assert neck.minutes("detector", out) > 0
    tables = [backbone_weights.table(model) for model in (one, other)]
    with np.load(out / "detector_neck.npz") as file:
        assert len(file) > 50
        for name in file:
            for table in tables:
                np.testing.assert_array_equal(table[name], file[name])
    drawn = sorted((out / "pseudo_boxes").iterdir())
    assert 1 <= len(drawn) <= 6
    assert all(image.read_bytes().startswith(b"\x89PNG") for image in drawn)


@pytest.mark.parametrize("task", ["localizer", "detector"])
def test_finetuning_starts_with_the_pretrained_neck(task, tiny_backbone, tmp_path, monkeypatch):
    monkeypatch.setattr(finetuning.backbones, "build", lambda name, **_: tiny_backbone())
    section = SECTION if task == "detector" else {"image_size": 64, "epochs": 1, "neck": {"epochs": 1, "images": 4}}
    config = read_config(None, {task: section, "data.scenes": SCENES})
    data, out = sources(config, tmp_path), tmp_path / "variant"
    backbones.save(tiny_backbone(), tmp_path / "learned.keras")
    trained = []
    pretrain = "pretrain_neck" if task == "detector" else "pretrain_localizer"
    monkeypatch.setattr(detectors, pretrain, lambda model, records, **own: trained.append(len(records)))
    monkeypatch.setattr(detectors, "pseudo_records", lambda *_, **__: list(data.train))
    # What comes after the neck is trained and scored in other tests.
    figures = LocalizationMetrics(0.5, 0.75, 0.25)
    monkeypatch.setattr(finetuning, "score", lambda *_: (figures, {}, figures))
    monkeypatch.setattr(detectors.Localizer if task == "localizer" else detectors.YOLOV8, "fit", lambda *_, **__: None)
    (stage,) = plan_finetuning(config, out).stages
    finetuning.run(dataclasses.replace(stage, weights=str(tmp_path / "learned.keras")), data)
    assert len(trained) == 1
    assert (out / f"{task}_neck.npz").exists()
    figures = json.loads((out / f"{task}.json").read_text())
    assert figures["neck_minutes"] == neck.minutes(task, out)


def test_neck_is_refused_when_a_random_localizer_is_trained_whole(tmp_path):
    own = {
        "localizer": {"image_size": 64},
        "data.scenes": SCENES,
        "variants": {"boxes": {"neck": {}}, "plain": "random"},
    }
    with pytest.raises(UserError, match="needs a trained backbone") as message:
        compare.compare(plan_comparison(read_config(None, own), tmp_path))
    assert "\n" not in str(message.value)
    assert not list(tmp_path.iterdir())
    neck.check(read_config(None, {"localizer": {"freeze": True, "neck": {}}}).localizer, "localizer", "random")


def test_description_of_a_variant_includes_the_images_of_its_neck(config):
    def seen():
        return seen_by(plan_comparison(config, "run").variants["random"], None, True)

    assert seen().startswith("no image before its fine-tuning. The neck (detector) saw up to 2000 of the images")
    config.detector.neck = None
    assert seen() == "no image before its fine-tuning."


def test_neck_of_a_variant_overrides_that_of_each_section():
    own = {"neck": {"images": 50, "epochs": 7}}
    config = read_config(None, {"detector": SECTION, "frozen": {}, "variants": {"plain": "random", "boxed": own}})
    plain, boxed = plan_comparison(config, "run").variants.values()
    assert plain.sections["detector"].neck.epochs == 1
    assert plain.sections["frozen"].neck is None
    assert [boxed.sections[task].neck.epochs for task in ("frozen", "detector")] == [7, 7]
    assert config.detector.neck.epochs == 1
    assert "The neck (frozen features, detector) saw up to 50 of the images" in seen_by(boxed, None, True)
