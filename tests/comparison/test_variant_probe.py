"""Features of variants judged on photographs of another kind, which here differ in colour alone."""

import json

import keras
import numpy as np
import pytest
from PIL import Image

from kerassl.comparison import variant_probe as variant_probe
from kerassl.runs import read_config
from kerassl.runs.time_limit import TimeLimit

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


def test_each_network_is_judged_once_though_variants_share_it(config, tmp_path, monkeypatch):
    def network(_, weights):
        begun.append(weights)
        images = keras.Input((None, None, 3))
        means = keras.layers.AveragePooling2D(8)(images)
        return keras.Model(images, means if weights == "random" else keras.layers.Rescaling(0.0)(means))

    begun = []
    monkeypatch.setattr(variant_probe, "start", network)
    anew = {"measured": "measured.keras"}
    monkeypatch.setattr(
        variant_probe, "feature_weights", lambda config, name, *_: anew.get(name, config.variants[name].start)
    )
    figures = variant_probe.probe_variants(config, None, tmp_path / "run", TimeLimit())
    assert begun == ["random", "dark.npz", "measured.keras"]
    assert figures["bright"] == figures["again"] == {"linear_top1": 1.0, "knn_top1": 1.0}
    assert figures["dark"]["linear_top1"] == 0.5  # a network that tells everything alike
    for name in config.variants:
        content = json.loads((tmp_path / "run" / "trials" / name / "probe.json").read_text())
        assert content.pop("minutes") > 0
        assert content == {"variant": name, "image_size": 32, "figures": figures[name]}
    assert variant_probe.probe_variants(config, None, tmp_path / "run", TimeLimit()) == figures
    assert len(begun) == 3  # what stands is not done again


def test_nothing_is_judged_when_no_photographs_are_named(config, tmp_path):
    config.compare.probe = None
    assert variant_probe.probe_variants(config, None, tmp_path / "run", TimeLimit()) == {}
    assert not (tmp_path / "run").exists()
