import dataclasses
import json

import keras
import pytest

from kerassl import backbones, detectors
from kerassl.backbones import weights as backbone_weights
from kerassl.config.config import read_config
from kerassl.config.sources import sources
from kerassl.runs import finetune as finetuning
from kerassl.runs.folder import run_folder
from kerassl.runs.plan.stages import Network
from kerassl.runs.plan.training import plan_finetuning

pytestmark = pytest.mark.current_stack


def test_frozen_localizer_is_trained_on_features_that_are_computed_once(tiny_backbone, eagerly, tmp_path, monkeypatch):
    monkeypatch.setattr(backbones, "build", lambda name, **_: tiny_backbone())
    (tmp_path / "run.yaml").write_text(
        "data: {scenes: {train: 12, val: 6, unlabeled: 0, single_object: true}}\n"
        "localizer: {image_size: 64, batch_size: 4, epochs: 1, freeze: true, levels: [P3, P4]}\n"
    )
    config = read_config(tmp_path / "run.yaml")
    data = sources(config, tmp_path)
    backbone = finetuning.start(Network.of(config), "random", 0)
    checksum = backbones.save(backbone, tmp_path / "start.keras")
    computed = []
    features = detectors.FrozenFeatures
    monkeypatch.setattr(
        detectors, "FrozenFeatures", lambda *args, **own: computed.append(args) or features(*args, **own)
    )
    (stage,) = plan_finetuning(config, tmp_path / "out").stages
    stage = dataclasses.replace(stage, weights=str(tmp_path / "start.keras"))
    with run_folder(tmp_path / "out", config) as out:
        figures = finetuning.run(stage, data)
    assert len(computed) == 1
    assert 0 <= figures["mean_iou"] <= 1
    assert json.loads((tmp_path / "out" / "localizer.json").read_text())["minutes"] > 0
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert {line["stage"] for line in lines} == {"localizer"}
    localizer = keras.saving.load_model(tmp_path / "out" / "localizer.keras")
    assert backbone_weights.checksum(backbone_weights.table(localizer.backbone)) == checksum
    assert localizer.levels == ("P3", "P4")
