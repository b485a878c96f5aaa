"""`kerassl features`, on a few scenes and tiny networks."""

import json

import keras
import pytest

from kerassl import backbones, datasets, detectors
from kerassl.cli.main import main
from kerassl.datasets import SCENE_CLASSES
from kerassl.report.features import LEVEL_FIGURES

pytestmark = pytest.mark.current_stack


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_backbone):
    folder = tmp_path_factory.mktemp("geometry_command")
    datasets.write_scenes(folder / "scenes", train=1, val=48, unlabeled=0, seed=1)
    keras.utils.set_random_seed(0)
    backbones.save(tiny_backbone(), folder / "backbone.keras")
    detectors.Localizer(tiny_backbone(4, name="other"), SCENE_CLASSES, 64).save(folder / "localizer.keras")
    return folder


@pytest.fixture(scope="module")
def written(folder):
    models = [f"ours={folder}/backbone.keras", f"a <b>={folder}/localizer.keras"]
    voc = ["--voc", str(folder / "scenes"), "--split", "val", "--classes", *SCENE_CLASSES]
    out = folder / "out" / "page.html"
    assert main(["features", "--models", *models, *voc, "--count", "44", "--out", str(out)]) == 0
    return out


def test_page_has_plots_and_json_every_figure(written):
    page, figures = written.read_text(), json.loads(written.with_suffix(".json").read_text())
    assert page.count('src="data:image/png;base64,') == 3  # invariance, spectra, CKA
    assert figures["images"] == 44
    assert figures["image_size"] == 64  # the localizer's
    assert list(figures["models"]) == ["ours", "a <b>"]
    for model in figures["models"].values():
        for level in model["layers"].values():
            # Four channels are too few to fit a decay to.
            missing = {"spectrum_exponent"} if level["width"] == 4 else set()
            assert {key for key in LEVEL_FIGURES if level[key] is None} == missing


def test_folder_of_images_gives_a_page_without_what_needs_labels(folder):
    images, out = folder / "scenes" / "VOC2007" / "JPEGImages", folder / "plain.html"
    arguments = ["--images", str(images), "--image-size", "64", "--count", "20", "--out", str(out)]
    assert main(["features", "--models", str(folder / "backbone.keras"), *arguments]) == 0
    page = out.read_text()
    assert page.count('src="data:image/png;base64,') == 3
    assert "kNN accuracy" not in page
