"""`kerassl audit`: what it writes, the page, and the mistakes."""

import base64
import io
import json
import re

import keras
import numpy as np
import PIL.Image
import pytest

from kerassl import datasets
from kerassl.cli.main import main
from kerassl.datasets import SCENE_CLASSES, write_scenes
from kerassl.datasets.pipeline.erase import erased_regions
from kerassl.detectors import Localizer
from kerassl.explain import Audit, audit_model
from kerassl.tasks.audit import write_audit

pytestmark = pytest.mark.current_stack


@pytest.fixture(scope="module")
def place(tmp_path_factory, tiny_backbone):
    """A folder with a devkit of 12 scenes and an untrained localizer of theirs."""
    folder = tmp_path_factory.mktemp("audit")
    write_scenes(folder / "devkit", train=0, val=12, image_size=(64, 80), single_object=True)
    keras.utils.set_random_seed(0)
    Localizer(tiny_backbone(), SCENE_CLASSES, 64, num_filters=8).save(folder / "localizer.keras")
    return folder


def _run(place, out, *more):
    model, data = place / "localizer.keras", place / "devkit"
    arguments = ["audit", "--model", model, "--data", data, "--split", "val", "--out", out, *more]
    return main([str(each) for each in arguments])


def test_audit_writes_a_page_that_refers_to_no_other_file_and_its_json(place, tmp_path):
    assert _run(place, tmp_path / "out", "--count", "8", "--drawn", "3") == 0
    content = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert len(content["rows"]) == 8
    assert sum(each["images"] for each in content["classes"].values()) == 8
    assert json.loads((tmp_path / "out" / "regions.json").read_text()) == {}
    page = (tmp_path / "out" / "report.html").read_text()
    names = [row["image"] for row in content["rows"]]
    images = re.findall(r'<img alt="(val_\d+)" src="data:image/jpeg;base64,([^"]+)"', page)
    assert [name for name, _ in images] == names[:3]  # the worst first
    for _, encoded in images:
        assert PIL.Image.open(io.BytesIO(base64.b64decode(encoded))).size == (200, 200)  # with the letterbox's padding


def test_finding_is_drawn_with_what_recurs_and_written_for_erase(place, tmp_path):
    records = datasets.DetectionDataset.from_voc(place / "devkit", 2007, "val", class_names=SCENE_CLASSES)
    model = keras.saving.load_model(place / "localizer.keras")
    plain = audit_model(model, records, layer="P4")
    name = plain.rows[0]["class"]
    images = [row["image"] for row in plain.rows if row["class"] == name]
    finding = {
        "class": name, "region": [0.5, 0.25, 1.0, 0.75], "images": images, "share": 1.0, "saliency": 0.5,
        "saliency_elsewhere": 0.125, "area": 0.25, "agreement": 0.75, "fall": 0.5, "fall_elsewhere": 0.0,
        "p_value": 0.002,
    }  # fmt: skip
    found = Audit(plain.classes, plain.rows, [finding], [{**finding, "images": images[:1]}])
    page = write_audit(model, found, records, tmp_path, drawn=0).read_text()
    assert json.loads((tmp_path / "regions.json").read_text()) == {name: [finding["region"]]}
    np.testing.assert_array_equal(erased_regions(tmp_path / "regions.json"), [finding["region"]])
    encoded, _ = re.findall(r'class="patch"[^>]*base64,([^"]+)"', page)
    patch = np.asarray(PIL.Image.open(io.BytesIO(base64.b64decode(encoded))), float)
    pixels = {record.image_id: datasets.read_image(record.path) for record in records}
    expected = np.mean([pixels[image][16:48, 40:80] for image in images], axis=(0, 1, 2))
    assert patch.shape == (160, 200, 3)
    np.testing.assert_allclose(patch.mean(axis=(0, 1)), expected, atol=3)


def test_regions_are_erased_in_training_when_the_configuration_names_them(place, tmp_path):
    from kerassl.config.config import read_config
    from kerassl.config.sources import training_batches

    path = tmp_path / "regions.json"
    path.write_text('{"car": [[0.0, 0.0, 1.0, 0.5]]}')
    records = datasets.DetectionDataset.from_voc(place / "devkit", 2007, "val", class_names=SCENE_CLASSES)
    for task in ("localizer", "detector"):
        settings = {"erase": str(path), "image_size": 64, "batch_size": 12, "augmentation": None}
        config = read_config(None, {f"{task}.{name}": value for name, value in settings.items()})
        batch = next(iter(training_batches(getattr(config, task), task, records, config.seed, shuffle=False)))
        images = (batch[0] if task == "localizer" else batch["images"]).numpy()
        assert all(np.ptp(image[:24, :60].reshape(-1, 3), axis=0).max() <= 1 for image in images)
        assert all(np.ptp(image[28:50, :60].reshape(-1, 3), axis=0).max() > 10 for image in images)
