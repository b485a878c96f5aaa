"""Probing of the features of variants, on images that differ in color alone."""

import json
import pathlib

import keras
import numpy as np
import pytest
from PIL import Image

from kerassl.comparison import probe
from kerassl.config import read_config
from kerassl.runs.plan.comparison import plan_comparison
from kerassl.runs.plan.stages import Probing
from kerassl.runs.running import TimeLimit

pytestmark = pytest.mark.current_stack

CONFIG = """
frozen: {{image_size: 32}}
variants:
  bright: random
  again: random
  dark: dark.npz
  measured: {{start: dark.npz, batch_norm: re-estimated}}
compare: {{probe: {{train: {folder}/train, test: {folder}/test}}}}
"""


@pytest.fixture
def config(tmp_path):
    draw = np.random.default_rng(0)
    for part, count in (("train", 6), ("test", 4)):
        for label, name in enumerate(("red", "green")):
            (tmp_path / part / name).mkdir(parents=True)
            for number in range(count):
                pixels = draw.uniform(0, 90, (32, 32, 3))
                pixels[:, :, label] += 130
                Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / part / name / f"{number}.png")
    (tmp_path / "run.yaml").write_text(CONFIG.format(folder=tmp_path))
    return read_config(tmp_path / "run.yaml")


def test_each_network_is_scored_once_when_variants_share_it(config, tmp_path, monkeypatch):
    def network(_, weights, seed):
        begun.append(pathlib.Path(weights).name)
        images = keras.Input((None, None, 3))
        means = keras.layers.AveragePooling2D(8)(images)
        return keras.Model(images, means if weights == "random" else keras.layers.Rescaling(0.0)(means))

    begun = []
    monkeypatch.setattr(probe, "start", network)

    def run():
        figures = {}
        for stage in plan_comparison(config, tmp_path / "run").of(Probing):
            figures[stage.name] = probe.run(stage, figures, TimeLimit())
        return {name.removeprefix("probe "): each for name, each in figures.items()}

    figures = run()
    assert begun == ["random", "dark.npz", "frozen_backbone.keras"]
    assert figures["bright"] == figures["again"] == {"linear_top1": 1.0, "knn_top1": 1.0}
    assert figures["dark"]["linear_top1"] == 0.5  # of a constant embedding
    for name in config.variants:
        content = json.loads((tmp_path / "run" / "trials" / name / "probe.json").read_text())
        assert content.pop("minutes") > 0
        assert content == {"variant": name, "image_size": 32, "figures": figures[name]}
    assert run() == figures
    assert len(begun) == 3


def test_nothing_is_probed_when_no_images_are_named(config, tmp_path):
    config.compare.probe = None
    assert plan_comparison(config, tmp_path).of(Probing) == []
