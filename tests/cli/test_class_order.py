"""The order in which classes are named changes no figure, of models, labels and files; other names are refused."""

import dataclasses
import json
import shutil

import keras
import numpy as np
import pytest

from kerassl import UserError, datasets
from kerassl.cli.main import main
from kerassl.detectors import Localizer, load_weights, save_weights

pytestmark = pytest.mark.current_stack  # by names alone: both stacks would find out the same

NAMES = list(datasets.SCENE_CLASSES)
OTHER = NAMES[3:] + NAMES[:3]


@pytest.fixture(scope="module")
def place(tmp_path_factory, tiny_backbone):
    """The same labels as a devkit, a COCO json and shards, and a localizer that predicts mostly one class."""
    folder = tmp_path_factory.mktemp("order")
    datasets.write_scenes(folder / "devkit", train=20, val=6, image_size=(64, 80), single_object=True)
    records = datasets.DetectionDataset.from_voc(folder / "devkit", 2007, "val", class_names=NAMES)
    keras.utils.set_random_seed(0)
    model = Localizer(tiny_backbone(), NAMES, 64, num_filters=8)
    layer = next(layer for layer in model.layers if getattr(layer, "units", None) == len(NAMES))
    kernel, bias = layer.get_weights()
    bias[np.bincount([record.classes[record.largest()] for record in records]).argmax()] = 9
    layer.set_weights([kernel, bias])
    model.save(folder / "localizer.keras")
    ids = {name: 70 - 3 * place for place, name in enumerate(NAMES)}
    content = {
        "images": [
            {"id": key, "file_name": each.path.rpartition("/")[2], "width": 80, "height": 64}
            for key, each in enumerate(records, 1)
        ],
        "annotations": [
            {
                "id": key,
                "image_id": key,
                "category_id": ids[NAMES[each.classes[0]]],
                "bbox": [*each.boxes[0, :2].tolist(), *(each.boxes[0, 2:] - each.boxes[0, :2]).tolist()],
            }
            for key, each in enumerate(records, 1)
        ],
        "categories": [{"id": key, "name": name} for name, key in ids.items()],
    }
    (folder / "coco.json").write_text(json.dumps(content))
    turned = [dataclasses.replace(each, classes=_renumbered(each.classes)) for each in records]
    datasets.write_shards(datasets.DetectionDataset(turned, OTHER), folder / "shards", progress=False)
    return folder


def _renumbered(classes):
    return np.array([OTHER.index(NAMES[label]) for label in classes], np.int32)


def _run(*arguments):
    return main([str(each) for each in arguments])


def _figures(place, out, *arguments):
    assert _run("evaluate", *arguments, "--out", out) == 0
    return json.loads(out.read_text())


def test_figures_are_the_same_when_labels_or_predictions_have_another_order(place, tmp_path):
    voc = ["--voc", place / "devkit", "--split", "val", "--classes"]
    coco = ["--coco", place / "coco.json", "--images", place / "devkit" / "VOC2007" / "JPEGImages"]
    model = ["--model", place / "localizer.keras"]
    expected = _figures(place, tmp_path / "first.json", *model, *voc, *NAMES)
    assert expected["top1"] > 0
    kinds = [[*voc, *OTHER], [*coco, "--classes", *OTHER], ["--shards", place / "shards"]]
    for number, labels in enumerate(kinds):
        assert _figures(place, tmp_path / f"model{number}.json", *model, *labels) == pytest.approx(expected), labels
    images = sorted((place / "devkit" / "VOC2007" / "JPEGImages").glob("val*"))
    assert _run("predict", *model, "--images", *images, "--out", tmp_path / "p", "--score", "0.9") == 0
    written = json.loads((tmp_path / "p" / "predictions.json").read_text())
    assert [each["name"] for each in written["categories"]] == NAMES
    predictions = ["--predictions", tmp_path / "p" / "predictions.json"]
    first = _figures(place, tmp_path / "p1.json", *predictions, *voc, *NAMES)
    assert first["top1"] == pytest.approx(expected["top1"])
    assert first["mean_iou"] == pytest.approx(expected["mean_iou"], abs=1e-6)
    for number, labels in enumerate([kinds[0], coco]):
        found = _figures(place, tmp_path / f"p{number + 2}.json", *predictions, *labels)
        for key in ("top1", "voc10_ap50", "coco_ap", "mean_iou"):
            assert found[key] == pytest.approx(first[key], abs=1e-6), (key, labels)


def test_audit_is_the_same_when_classes_are_named_in_another_order(place, tmp_path):
    found = []
    for order in (NAMES, OTHER):
        out = tmp_path / order[0]
        voc = ["--voc", place / "devkit", "--split", "val", "--classes", *order]
        assert _run("audit", "--model", place / "localizer.keras", *voc, "--drawn", 0, "--out", out) == 0
        found.append(json.loads((out / "audit.json").read_text())["rows"])
    assert found[0] == found[1]


def test_other_names_are_refused_before_anything_is_read_or_written(place, tmp_path, capsys):
    voc = ["--voc", place / "devkit", "--split", "val", "--classes", *NAMES[1:], "unicorn"]
    model, out = place / "localizer.keras", tmp_path / "out"
    printed = f"({NAMES[0]!r} in the model alone; 'unicorn' in the labels alone)"
    for command in (
        ["evaluate", "--model", model, *voc],
        ["evaluate", "--model", model, "--coco", place / "coco.json", "--images", place, *voc[4:]],
        ["audit", "--model", model, *voc, "--out", out],
        ["explain", "--models", f"ours={model}", *voc, "--out", out],
        ["evaluate", "--model", model, "--shards", place / "shards", *voc[4:]],
    ):
        capsys.readouterr()
        assert _run(*command) == 2
        (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("kerassl: ")]
        expected = printed if command[0] != "explain" else printed.replace("the model alone", "the model ours alone")
        if "--shards" in command:
            expected = "('unicorn' in --classes alone; "
        assert expected in line
    assert not out.exists()
    capsys.readouterr()
    coco = ["--coco", place / "coco.json", "--images", place, "--year", 2007]
    assert _run("evaluate", "--model", model, *coco) == 2
    assert "--coco" in capsys.readouterr().err


def test_localizer_is_refused_when_no_image_shows_an_object(place, tmp_path, capsys):
    root = tmp_path / "empty"
    shutil.copytree(place / "devkit", root)
    for path in (root / "VOC2007" / "Annotations").glob("val*.xml"):
        path.write_text(path.read_text().replace("<difficult>0", "<difficult>1"))
    voc = ["--voc", root, "--split", "val", "--classes", *NAMES]
    assert _run("evaluate", "--model", place / "localizer.keras", *voc) == 2
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
