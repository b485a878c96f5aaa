"""Training that continues from a detector or a localizer, on the same classes or on others."""

import json

import keras
import numpy as np
import pytest

from kerassl import UserError, detectors
from kerassl.backbones import weights as backbone_weights
from kerassl.cli.main import main
from kerassl.datasets import SCENE_CLASSES, write_scenes
from kerassl.runs import finetune as finetuning

NAMES = list(SCENE_CLASSES)


@pytest.fixture(
    params=[pytest.param("YOLOV8", marks=pytest.mark.current_stack), "RetinaNet", "Localizer"], scope="module"
)
def trained(request, tiny_backbone, tiny_detector):
    """A model with a frozen backbone, whose weights are none that it would start with."""
    names = ["red", "light blue"]
    if request.param == "Localizer":
        model = detectors.Localizer(tiny_backbone(), names, 64, levels=["P5"], num_filters=8)
    else:
        model = tiny_detector(request.param, names)
    for variable in model.weights:
        if "float" in str(variable.dtype):
            variable.assign(variable + 0.5)
    model.backbone.trainable = False
    return model


@pytest.mark.current_stack
def test_weights_but_those_of_the_class_head_are_kept_when_classes_differ(trained):
    before = backbone_weights.table(trained)
    for names in (["red", "light blue"], ["raccoon"]):
        again = detectors.for_classes(trained, names, image_size=96)
        after = backbone_weights.table(again)
        kept = {name for name in after if name in before and np.array_equal(after[name], before[name])}
        lost = {name for name in after if name.split("/")[0].startswith("class")} if len(names) == 1 else set()
        assert kept == set(after) - lost
        assert len(kept) > 20
        assert (again.class_names, again.image_size) == (tuple(names), 96)
        assert all(layer.trainable for layer in again.backbone.layers)


def test_model_is_refused_when_its_classes_are_in_another_order(trained):
    with pytest.raises(UserError, match="--classes red 'light blue'"):
        detectors.for_classes(trained, ["light blue", "red"])


@pytest.fixture(scope="module")
def place(tiny_backbone, tiny_detector, tmp_path_factory):
    """Scenes, models of two classes, and one of all classes in another order."""
    folder = tmp_path_factory.mktemp("continued")
    write_scenes(folder / "scenes", train=8, val=4, unlabeled=0, single_object=True)
    keras.utils.set_random_seed(0)
    tiny_detector("YOLOV8", ["red", "blue"]).save(folder / "two.keras")
    detectors.Localizer(tiny_backbone(), ["red", "blue"], 64, levels=["P5"]).save(folder / "localizer.keras")
    tiny_detector("RetinaNet", NAMES[::-1]).save(folder / "reversed.keras")
    return folder


@pytest.fixture
def finetune(place, tmp_path, monkeypatch):
    """`finetune(out, *flags)`: the exit status on 8 scenes."""
    monkeypatch.setattr(finetuning, "CHECKPOINTS", {"every": 1})

    def run(out, *flags):
        small = ["--batch-size", "4", "--epochs", "2"]
        data = ["--data", str(place / "scenes"), "--classes", *NAMES]
        return main(["finetune", "--out", str(tmp_path / out), *data, *small, *map(str, flags)])

    return run


@pytest.mark.current_stack
def test_settings_are_those_of_the_model_when_its_training_continues(place, tmp_path):
    common = {"out": tmp_path / "new", "data": place / "scenes", "plan": True}
    config = finetuning.finetune(**common, model=place / "two.keras").config
    assert (config.localizer, config.weights) == (None, str(place / "two.keras"))
    assert (config.detector.kind, config.detector.num_filters, config.detector.image_size) == ("yolov8", 8, 64)
    config = finetuning.finetune(**common, model=place / "localizer.keras", image_size=96).config
    assert (config.detector, config.localizer.levels, config.localizer.image_size) == (None, ["P5"], 96)


@pytest.mark.slow
@pytest.mark.current_stack
def test_model_is_trained_on_other_classes_and_resumed_to_the_same_bits(finetune, place, tmp_path, monkeypatch, caplog):
    model = ("--model", place / "localizer.keras")
    assert finetune("whole", *model) == 0
    figures = json.loads((tmp_path / "whole" / "localizer.json").read_text())
    expected = {"file": str(model[1]), "classes": ["red", "blue"], "class_head": "re-initialized"}
    assert figures["model"] == expected
    assert sum("class head is re-initialized" in line for line in caplog.messages) == 1

    written = finetuning.callbacks.MetricsFile.on_train_batch_end

    def killed(self, batch, logs=None):
        written(self, batch, logs)
        if self._step == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(finetuning.callbacks.MetricsFile, "on_train_batch_end", killed)
    assert finetune("killed", *model) == 130
    monkeypatch.setattr(finetuning.callbacks.MetricsFile, "on_train_batch_end", written)
    assert finetune("killed", *model, "--resume") == 0
    found = [
        keras.saving.load_model(tmp_path / each / "localizer.keras", compile=False).get_weights()
        for each in ("whole", "killed")
    ]
    for whole, resumed in zip(*found, strict=True):
        np.testing.assert_array_equal(resumed, whole)


@pytest.mark.current_stack
def test_start_is_refused_when_it_does_not_fit_a_model(finetune, place, tmp_path, capsys):
    for flags, message in [
        (["--model", place / "reversed.keras"], f"give --classes {' '.join(NAMES[::-1])}"),
        (["--model", place / "two.keras", "--weights", "random"], "leave --backbone and --weights out"),
        (["--model", place / "two.keras", "--task", "localizer"], "give --task detector"),
        (["--model", place / "two.keras", "--detector", "retinanet"], "is a YOLOV8; leave --detector out"),
    ]:
        assert finetune("new", *flags) == 2
        assert message in capsys.readouterr().err.splitlines()[-1]
        assert not (tmp_path / "new").exists()
