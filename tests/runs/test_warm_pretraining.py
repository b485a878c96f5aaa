"""Pre-training that starts from given weights, with parts frozen."""

import keras
import numpy as np
import pytest
from PIL import Image

from kerassl import backbones
from kerassl.backbones import weights as backbone_weights
from kerassl.config import read_config
from kerassl.runs import pretrain as pretraining
from kerassl.runs import start
from kerassl.runs.plan.training import plan_pretraining

pytestmark = pytest.mark.current_stack


def test_frozen_stages_and_batch_norm_keep_every_bit_and_are_saved_trainable(
    tiny_backbone, eagerly, tmp_path, monkeypatch
):
    monkeypatch.setattr(start.backbones, "build", lambda name, **_: tiny_backbone())
    for number, image in enumerate(np.random.default_rng(0).integers(0, 255, (8, 40, 50, 3), "uint8")):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    small = {"image_size": 32, "batch_size": 4, "epochs": 2, "hidden_dim": 8, "projection_dim": 8, "warmup": 0}
    config = read_config(None, {"pretrain": {**small, "unfreeze": {"stem": None, "P3": 1}, "batch_norm": "frozen"}})
    (stage,) = plan_pretraining(config, tmp_path / "run").stages
    before = backbone_weights.table(start.start(stage.network, "random", stage.seed))
    pretraining.run(stage, [str(tmp_path)])
    left = backbones.load(tmp_path / "run" / "backbone.keras")
    assert left.trainable
    assert all(layer.trainable for layer in left.layers)
    for name, value in backbone_weights.table(left).items():
        layer = name.split("/")[0]
        held = layer in ("conv1", "conv2") or isinstance(left.get_layer(layer), keras.layers.BatchNormalization)
        assert np.array_equal(value, before[name]) == held, name
