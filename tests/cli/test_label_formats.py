"""Labels of every format, by one flag: each command reads the same, and predictions get the same figures."""

import dataclasses
import importlib
import json
import shutil

import keras
import numpy as np
import pytest

from kerassl import datasets, metrics, tasks
from kerassl.cli.main import main
from kerassl.datasets import SCENE_CLASSES, DetectionDataset
from kerassl.detectors import Localizer
from kerassl.types import Detections

pytestmark = pytest.mark.current_stack  # NumPy alone: both stacks would find out the same

# By format what --data names, and more flags.
FORMATS = {
    "VOC": ("devkit", "--split", "val"),
    "COCO": ("coco/annotations.json",),
    "COCO apart": ("apart.json", "--data-images", "coco/images"),
    "XML": ("xml",),
    "YOLO": ("yolo",),
    "YOLO's yaml": ("yolo/data.yaml",),
    "CSV": ("csv/annotations.csv",),
    "shards": ("shards",),
    "configuration": (),
}
# By command its other arguments, and what it hands the labels to: the module, its function, and which argument.
COMMANDS = {
    "evaluate": (["--model", "model.keras"], "tasks.evaluate", "score_model", 1),
    "audit": (["--model", "model.keras", "--out", "new"], "explain", "audit_model", 1),
    "explain": (["--models", "a=model.keras", "--out", "new"], "explain", "localization_targets", 0),
    "features": (["--models", "a=model.keras", "--out", "new.html"], "features", "feature_geometry", 1),
    "views": (["--task", "detector", "--count", "9", "--out", "new.png"], "tasks.views", "training_batches", 2),
    "shards": (["--out", "new"], "datasets", "write_shards", 0),
    "inspect": ([], "tasks.inspect", "label_card", 0),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory, tiny_backbone):
    """Six labeled scenes in every format, an untrained localizer of their classes, and predictions of all kinds."""
    folder = tmp_path_factory.mktemp("formats")
    datasets.write_scenes(folder / "devkit", train=2, val=6, image_size=(64, 80), single_object=True)
    labeled = DetectionDataset.from_voc(folder / "devkit", 2007, "val", class_names=SCENE_CLASSES)
    for name in ("coco", "yolo", "csv"):
        getattr(datasets, f"write_{name}")(labeled, folder / name, progress=False)
    datasets.write_shards(labeled, folder / "shards", progress=False)
    shutil.copytree(folder / "devkit/VOC2007/JPEGImages", folder / "xml")
    shutil.copytree(folder / "devkit/VOC2007/Annotations", folder / "xml", dirs_exist_ok=True)
    for path in (folder / "xml").glob("train_*"):
        path.unlink()
    shutil.copy(folder / "coco/annotations.json", folder / "apart.json")
    (folder / "run.yaml").write_text(
        "data: {train: {path: devkit, split: val}, test: {path: devkit/VOC2007, split: val}}\n"
    )
    keras.utils.set_random_seed(0)
    Localizer(tiny_backbone(), SCENE_CLASSES[::-1], 64, num_filters=8).save(folder / "model.keras")
    rng = np.random.default_rng(0)
    found = {
        record.path: Detections(record.boxes + rng.normal(0, 3, (1, 4)), [0.5], record.classes, SCENE_CLASSES)
        for record in labeled
    }
    metrics.save_predictions(folder / "predictions.json", found)
    return folder, labeled, {record.image_id: found[record.path] for record in labeled}


class _Read(Exception):
    """The labels that a command has read."""


def _flags(form):
    return ["--data", *FORMATS[form]] if FORMATS[form] else ["--config", "run.yaml"]


def _labels_of(command, flags):
    more, module, function, argument = COMMANDS[command]

    def stop(*arguments, **_):
        raise _Read(arguments[argument])

    loaders = {"evaluate": "load", "audit": "load", "explain": "load_network", "features": "load_network"}
    # All before anything is replaced: `features` takes its loader from `explain`.
    tasks = {task: importlib.import_module(f"kerassl.tasks.{task}") for task in loaders}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importlib.import_module(f"kerassl.{module}"), function, stop)
        for task, load in loaders.items():
            patch.setattr(tasks[task], load, lambda path: path)
        with pytest.raises(_Read) as read:
            main([command, *more, *flags])
    return read.value.args[0]


@pytest.mark.parametrize("form", FORMATS)
def test_every_command_reads_the_same_labels_when_the_format_is_another(place, form, monkeypatch):
    folder, expected, _ = place
    monkeypatch.chdir(folder)
    for command in COMMANDS:
        if command == "shards" and form == "configuration":
            continue  # it packs no labels of one
        labels = sorted(_labels_of(command, _flags(form)), key=lambda record: record.boxes.sum())
        for record, own in zip(labels, sorted(expected, key=lambda record: record.boxes.sum()), strict=True):
            assert (record.width, record.height) == (80, 64)
            np.testing.assert_allclose(record.boxes, own.boxes, atol=1e-3)
            # Numbered as by the model, which has the same names in another order.
            if command in ("evaluate", "audit", "explain"):
                assert record.named.names == SCENE_CLASSES[::-1]
            assert record.named.names[record.classes[0]] == SCENE_CLASSES[own.classes[0]], command


@pytest.mark.parametrize("form", FORMATS)
def test_predictions_get_the_figures_of_the_evaluator_when_the_format_is_another(place, form, monkeypatch, tmp_path):
    folder, labeled, found = place
    monkeypatch.chdir(folder)
    assert (
        main(["evaluate", "--predictions", "predictions.json", *_flags(form), "--out", str(tmp_path / "a.json")]) == 0
    )
    figures = json.loads((tmp_path / "a.json").read_text())
    expected = metrics.evaluate_detections(found, labeled, SCENE_CLASSES).to_dict()
    for key in ("voc07_ap50", "voc10_ap50", "coco_ap", "mean_iou", "top1"):
        assert figures[key] == pytest.approx(expected[key], abs=1e-3 if "YOLO" in form else 1e-6), key


def test_model_is_refused_when_labels_have_a_class_that_it_lacks(place, tmp_path, capsys):
    folder, labeled, _ = place
    names = ["unicorn" if label == labeled[0].classes[0] else name for label, name in enumerate(SCENE_CLASSES)]
    unnamed = [dataclasses.replace(each, named=None) for each in labeled]
    datasets.write_coco(DetectionDataset(unnamed, names), tmp_path / "new", progress=False)
    flags = ["--model", str(folder / "model.keras"), "--data", str(tmp_path / "new" / "annotations.json")]
    assert main(["evaluate", *flags]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("kerassl: ")]
    assert "the labels have 'unicorn', which the model lacks; it has " in line
    shown = [name for name in names if any(name == names[one.classes[0]] for one in labeled) and name != "unicorn"]
    assert line.endswith(f"leave the others out by --classes {' '.join(shown)}")
    left = [name for name in names if name != "unicorn"]
    figures = tasks.evaluate(predictions=[str(folder / "predictions.json")], data=flags[-1], classes=left)
    assert figures.per_class[SCENE_CLASSES[labeled[0].classes[0]]].objects == 0
