"""`kerassl features`, on a few scenes and tiny networks."""

import json

import keras
import pytest

from kerassl import backbones, datasets, detectors
from kerassl.cli.main import main
from kerassl.datasets import SCENE_CLASSES
from kerassl.features import model_features
from kerassl.report.features import LEVEL_FIGURES

pytestmark = pytest.mark.current_stack


@pytest.fixture
def folder(tmp_path, tiny_backbone, monkeypatch):
    """Scenes, a backbone and a localizer; views are mirrored images alone, as graphs of all operations take long."""
    datasets.write_scenes(tmp_path / "scenes", train=1, val=20, unlabeled=0, image_size=(64, 80), seed=1)
    keras.utils.set_random_seed(0)
    backbones.save(tiny_backbone(), tmp_path / "backbone.keras")
    detectors.Localizer(tiny_backbone(4, name="other"), SCENE_CLASSES, 64).save(tmp_path / "localizer.keras")

    def changed(images, *_):
        mirrored = images[:, :, ::-1]
        return {"plain": images, "flip": mirrored, "first": images, "second": mirrored}

    monkeypatch.setattr(model_features, "_changer", lambda _: changed)
    return tmp_path


def test_page_has_plots_and_json_every_figure_and_without_labels_what_needs_none(folder):
    models = [f"ours={folder}/backbone.keras", f"a <b>={folder}/localizer.keras"]
    data = ["--data", str(folder / "scenes"), "--split", "val"]
    out = folder / "out" / "page.html"
    assert main(["features", "--models", *models, *data, "--count", "18", "--out", str(out)]) == 0
    page, figures = out.read_text(), json.loads(out.with_suffix(".json").read_text())
    assert page.count('src="data:image/png;base64,') == 3  # invariance, spectra, CKA
    assert figures["images"] == 18
    assert figures["image_size"] == 64  # the localizer's
    assert list(figures["models"]) == ["ours", "a <b>"]
    for model in figures["models"].values():
        for level in model["layers"].values():
            # Few images are too few to fit a decay to.
            assert {key for key in LEVEL_FIGURES if level[key] is None} <= {"spectrum_exponent"}
    images, out = folder / "scenes" / "VOC2007" / "JPEGImages", folder / "plain.html"
    arguments = ["--images", str(images), "--image-size", "64", "--count", "20", "--out", str(out)]
    assert main(["features", "--models", models[0], *arguments]) == 0
    figures = json.loads(out.with_suffix(".json").read_text())
    assert figures["images"] == 20
    assert "labels" not in figures
