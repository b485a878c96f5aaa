"""`kerassl.evaluate` and `kerassl.predict` from Python."""

import pathlib

import keras
import pytest

import kerassl
from kerassl.datasets import SCENE_CLASSES, DetectionDataset, write_scenes

pytestmark = pytest.mark.current_stack


def test_figures_of_a_model_and_a_data_set_are_those_of_their_files(tmp_path, tiny_backbone):
    root = write_scenes(tmp_path / "devkit", train=0, val=4, image_size=(64, 80), single_object=True)
    data = DetectionDataset.from_voc(root, 2007, "val", class_names=SCENE_CLASSES)
    keras.utils.set_random_seed(0)
    model = kerassl.detectors.Localizer(tiny_backbone(), SCENE_CLASSES, 64, num_filters=8)
    model.save(tmp_path / "localizer.keras")
    named = {"data": str(root), "split": "val"}
    expected = kerassl.evaluate(tmp_path / "localizer.keras", **named, out=tmp_path / "figures.json")
    assert kerassl.evaluate(model, data) == pytest.approx(expected)
    found = kerassl.predict(model, [record.path for record in data])
    written = kerassl.predict(tmp_path / "localizer.keras", [record.path for record in data], out=tmp_path / "out")
    assert written.images == len(found)
    kept = kerassl.load(tmp_path / "out" / "predictions.json")
    assert list(kept) == [pathlib.Path(path).name for path in found]
    for one, other in zip(kept.values(), found.values()):
        assert one.boxes.tolist() == other.boxes.tolist()
