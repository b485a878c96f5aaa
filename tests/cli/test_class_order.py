"""Names of classes: labels and models of other orders agree by name."""

import json
import shutil

import keras
import numpy as np
import pytest

import kerassl
from kerassl import UserError, datasets
from kerassl.cli.main import main
from kerassl.detectors import Localizer, load_weights, save_weights

pytestmark = pytest.mark.current_stack  # by names alone: both stacks would find out the same

NAMES = list(datasets.SCENE_CLASSES)
OTHER = NAMES[3:] + NAMES[:3]


@pytest.fixture(scope="module")
def place(tmp_path_factory, tiny_backbone):
    """A devkit, and a localizer that predicts mostly one class."""
    folder = tmp_path_factory.mktemp("order")
    datasets.write_scenes(folder / "devkit", train=1, val=6, image_size=(64, 80), single_object=True)
    records = datasets.DetectionDataset.from_voc(folder / "devkit", 2007, "val", class_names=NAMES)
    keras.utils.set_random_seed(0)
    model = Localizer(tiny_backbone(), NAMES, 64, num_filters=8)
    layer = next(layer for layer in model.layers if getattr(layer, "units", None) == len(NAMES))
    kernel, bias = layer.get_weights()
    bias[np.bincount([record.classes[record.largest()] for record in records]).argmax()] = 9
    layer.set_weights([kernel, bias])
    model.save(folder / "localizer.keras")
    return folder, model


def _run(*arguments):
    return main([str(each) for each in arguments])


def test_figures_are_the_same_when_classes_are_named_in_another_order(place, tmp_path):
    folder, model = place
    data = ["--data", folder / "devkit", "--split", "val", "--classes", *OTHER]
    expected = kerassl.evaluate(model, folder / "devkit", split="val", classes=NAMES).to_dict()
    assert expected["top1"] > 0
    assert _run("evaluate", "--model", folder / "localizer.keras", *data, "--out", tmp_path / "m.json") == 0
    assert json.loads((tmp_path / "m.json").read_text()) == pytest.approx(expected)
    images = sorted((folder / "devkit" / "VOC2007" / "JPEGImages").glob("val*"))
    kerassl.predict(model, images, out=tmp_path / "p", score=0.9)
    predictions = ["--predictions", tmp_path / "p" / "predictions.json"]
    assert _run("evaluate", *predictions, *data, "--out", tmp_path / "p.json") == 0
    scored = json.loads((tmp_path / "p.json").read_text())
    assert scored["top1"] == pytest.approx(expected["top1"])
    assert scored["mean_iou"] == pytest.approx(expected["mean_iou"], abs=1e-6)


def test_localizer_is_refused_when_no_image_shows_an_object(place, tmp_path, capsys):
    root, (folder, _) = tmp_path / "empty", place
    shutil.copytree(folder / "devkit", root)
    for path in (root / "VOC2007" / "Annotations").glob("val*.xml"):
        path.write_text(path.read_text().replace("<difficult>0", "<difficult>1"))
    assert _run("evaluate", "--model", folder / "localizer.keras", "--data", root, "--split", "val") == 2
    assert "none of 6 images has an object that is to be found" in capsys.readouterr().err


def test_weights_carry_the_names_and_refuse_others_or_another_order(place, tiny_backbone, tmp_path, caplog):
    def make(names):
        return Localizer(tiny_backbone(), names, 64, num_filters=8)

    model = make(["cat", "dog"])
    save_weights(model, tmp_path / "w.npz")
    assert load_weights(make(["cat", "dog"]), tmp_path / "w.npz")
    assert "class names" not in caplog.text
    with pytest.raises(UserError, match=r"cat, dog, and the model has them in another order \(dog, cat\)"):
        load_weights(make(["dog", "cat"]), tmp_path / "w.npz")
    with pytest.raises(UserError, match=r"'dog' in the weights in .*w.npz alone; 'cow' in the model alone"):
        load_weights(make(["cat", "cow"]), tmp_path / "w.npz")
    with np.load(tmp_path / "w.npz") as arrays:
        np.savez(tmp_path / "old.npz", **{name: arrays[name] for name in arrays if not name.startswith("kerassl")})
    assert load_weights(make(["dog", "cat"]), tmp_path / "old.npz")
    assert "old.npz has no class names" in caplog.text
