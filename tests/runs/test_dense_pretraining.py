"""Dense contrast from the configuration to the figures of a run, on the smallest network."""

import json

import numpy as np
import pytest
from PIL import Image

from kerassl import UserError, backbones, models
from kerassl.cli import main as cli
from kerassl.config import read_config

pytestmark = pytest.mark.current_stack


def written(folder, text):
    (folder / "run.yaml").write_text(text)
    return folder / "run.yaml"


def test_dense_contrast_has_the_defaults_of_its_model_when_one_line_enables_it(tmp_path):
    assert read_config(written(tmp_path, "pretrain: {epochs: 3}")).pretrain.dense is None
    dense = read_config(written(tmp_path, "pretrain: {dense: {}}")).pretrain.dense
    model = models.DenseSimCLR.__init__.__kwdefaults__
    assert (tuple(dense.levels), dense.weight) == (model["levels"], model["dense_weight"])
    assert dense.temperature == model["dense_temperature"]
    assert dense.locations_per_image == model["locations_per_image"]
    assert dense.min_negative_distance == model["min_negative_distance"]
    dense = read_config(written(tmp_path, "pretrain: {dense: {levels: [P5, P3], weight: 0.2}}")).pretrain.dense
    assert (dense.levels, dense.weight) == (["P3", "P5"], 0.2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{levels: [P6]}", r"pretrain.dense.levels is \['P6'\].*one or more of P3, P4, P5"),
        ("{levels: []}", "pretrain.dense.levels"),
        ("{weight: 2}", "pretrain.dense.weight is 2"),
        ("{cells: 2}", "there is no setting 'pretrain.dense.cells'"),
    ],
)
def test_setting_of_dense_contrast_is_refused_when_it_is_invalid(text, message, tmp_path):
    with pytest.raises(UserError, match=message):
        read_config(written(tmp_path, f"pretrain: {{dense: {text}}}"))


def test_dense_pretraining_records_its_figures_and_saves_a_plain_backbone(
    tiny_backbone, eagerly, tmp_path, monkeypatch
):
    monkeypatch.setattr(backbones, "build", lambda name, **_: tiny_backbone())
    (tmp_path / "photos").mkdir()
    for number, image in enumerate(np.random.default_rng(0).integers(0, 255, (16, 40, 50, 3), "uint8")):
        Image.fromarray(image).save(tmp_path / "photos" / f"{number}.png")
    sizes = "image_size: 64, batch_size: 8, epochs: 2, hidden_dim: 16, projection_dim: 8"
    text = f"pretrain: {{{sizes}, dense: {{levels: [P4], weight: 0.4}}}}"
    command = ["--config", str(written(tmp_path, text)), "--images", str(tmp_path / "photos")]
    assert cli.main(["pretrain", *command, "--out", str(tmp_path / "run")]) == 0
    figures = json.loads((tmp_path / "run" / "pretrain.json").read_text())
    dense = figures["dense"]
    assert (dense["levels"], dense["weight"], dense["locations_per_image"]) == (["P4"], 0.4, 16)
    assert dense["loss"] > 0
    assert 0 < dense["matched"] < 1
    assert 0 <= dense["accuracy"] <= 1
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    last = [line for line in lines if line["kind"] == "epoch"][-1]
    assert last["loss"] == pytest.approx(0.6 * last["global_loss"] + 0.4 * last["dense_loss"], rel=1e-5)
    assert (figures["loss"], dense["loss"]) == pytest.approx((last["global_loss"], last["dense_loss"]))
    loaded = backbones.load(tmp_path / "run" / "backbone.keras")
    assert [type(layer) for layer in loaded.layers] == [type(layer) for layer in tiny_backbone().layers]
    assert loaded.count_params() == tiny_backbone().count_params()
