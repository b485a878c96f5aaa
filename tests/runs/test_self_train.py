"""Self-training: its plan, its stages resumed to the same bits, and what is left out or refused."""

import functools
import importlib
import json
import random
import shutil
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import PIL.Image
import pytest

import kerassl
from kerassl import UserError, backbones, statistics
from kerassl._io import keras_file
from kerassl._io.manifest import checksum
from kerassl._io.state import write_json
from kerassl.cli.main import main
from kerassl.config.config import read_config
from kerassl.datasets import DetectionDataset, write_scenes
from kerassl.detectors import model_files
from kerassl.runs import finetune as finetuning
from kerassl.runs import self_train as self_training
from kerassl.runs.plan.self_training import plan_self_training
from kerassl.runs.self_train import self_train

pytestmark = pytest.mark.current_stack

DETECTOR = {"kind": "yolov8", "num_filters": 8, "image_size": 64, "batch_size": 4, "epochs": 2, "ema": 0.9}
SMALL = {"detector": DETECTOR, "self_train": {"threshold": 0.0, "length": 2}}


def planned(folder, **settings):
    return plan_self_training(read_config(None, {**SMALL, "data.count": 10, **settings}), folder)


def test_stages_follow_each_other_when_there_are_rounds_and_a_control(tmp_path):
    plan = planned(tmp_path, **{"self_train.rounds": 2, "self_train.control": True, "weights": "random"})
    names = ["teacher", "labels", "student", "labels-2", "student-2", "control", "choice"]
    assert [stage.name for stage in plan.stages] == names
    assert [stage.name for stage in plan.left()] == names
    teacher, labels, student, again, *_, choice = plan.stages
    assert (teacher.settings.image_size, student.settings.image_size) == (96, 64)
    assert (teacher.images, student.images) == (20, 40)
    assert (labels.weights, again.weights) == (str(teacher.outputs[0]), str(student.outputs[0]))
    assert {stage.weights for stage in plan.stages if hasattr(stage, "protocol")} == {"random"}
    assert list(choice.detectors) == ["teacher", "student", "student-2", "control"]


def test_teacher_has_its_own_network_or_file_when_it_is_named(tmp_path):
    teacher = {"image_size": 128, "backbone": "MobileNet"}
    first = planned(tmp_path, **{"weights": "random", "self_train.teacher": teacher}).stages[0]
    assert (first.network.backbone, first.weights, first.settings.image_size) == ("MobileNet", "imagenet", 128)
    plan = planned(tmp_path, **{"self_train.teacher": {"detector": "a.keras"}})
    assert [stage.name for stage in plan.stages] == ["labels", "student", "choice"]
    assert plan.stages[0].weights == "a.keras"
    with pytest.raises(UserError, match="leave image_size, backbone, weights and merged out"):
        planned(tmp_path, **{"self_train.teacher": {"detector": "a.keras", **teacher}})


@pytest.fixture
def place(tmp_path, monkeypatch, tiny_backbone):
    """Eight labeled scenes, four to validate, ten without labels, and copies of labeled ones among these."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(finetuning, "CHECKPOINTS", {"every": 1})
    scenes = write_scenes(tmp_path / "scenes", train=8, val=4, unlabeled=10)
    (tmp_path / "pool").mkdir()
    for path in (scenes / "unlabeled").iterdir():
        shutil.copy(path, tmp_path / "pool")
    for split in ("train", "val"):
        with PIL.Image.open(DetectionDataset.open(scenes, split=split)[0].path) as image:
            image.resize((300, 240), PIL.Image.Resampling.BICUBIC).save(tmp_path / "pool" / f"{split}.jpg", quality=95)
    backbones.save(tiny_backbone(), "start.keras")
    monkeypatch.setattr(statistics, "paired_bootstrap", functools.partial(statistics.paired_bootstrap, resamples=20))
    return tmp_path


def arguments(out, **changes):
    given = {"data": "scenes", "images": "pool", "backbone": "start.keras", "settings": SMALL, "out": out}
    return {**given, **changes}


class _Networks:
    """Files of detectors that see something everywhere, each built once, and opened without being built again."""

    def __init__(self, folder, build):
        self.folder, self.build, self.models = folder, build, {}

    def copy(self, target, seed, class_names, image_size=64):
        file = self.folder / f"{seed}-{'-'.join(class_names)}-{image_size}.keras"
        if not file.exists():
            keras.utils.set_random_seed(seed)
            model = self.build("YOLOV8", list(class_names), image_size)
            model.save(file)
            self.models[checksum(file)] = model
        shutil.copy(file, target)

    def open_model(self, path, wanted):
        return self.models.get(checksum(path)) or keras_file.open_model(path, wanted)


@pytest.fixture(scope="module")
def networks(tiny_detector, noisy_heads, tmp_path_factory):
    return _Networks(tmp_path_factory.mktemp("networks"), lambda *given: noisy_heads(tiny_detector(*given)))


@pytest.fixture
def trained(networks, monkeypatch):
    """Name, images and epochs of each training, which takes no time; all but the teacher become one network."""
    found = []

    def run(stage, data, limit=None):
        found.append((stage.name, len(data.train), stage.settings.epochs))
        stage.folder.mkdir(exist_ok=True)
        seed = int(stage.name == "teacher")
        networks.copy(stage.folder / "detector.keras", seed, data.classes, stage.settings.image_size)
        figures = {"minutes": 0.0, "coco_ap": 0.1}
        write_json(stage.folder / "detector_images.json", {"ids": []})
        write_json(stage.folder / "detector.json", figures)
        return figures

    monkeypatch.setattr(finetuning, "run", run)
    monkeypatch.setattr(model_files, "open_model", networks.open_model)
    return found


def test_better_detector_is_recommended_when_all_stages_are_done(place, trained, capsys):
    found = self_train(**arguments("out"))
    choice = found.results["choice"]
    assert set(choice["values"]) == {"teacher", "student"}
    assert choice["images"] == 4
    assert found.model.parts == ("out", choice["recommended"], "detector.keras")
    left = json.loads((place / "out" / "left_out.json").read_text())
    assert left["images"] == 12
    assert {(row["image"], row["part"]) for row in left["left_out"]} == {(f"pool/{p}.jpg", p) for p in ("train", "val")}
    labels = found.results["labels"]["labels"]
    assert labels["images"] == 10
    mixed = 8 * max(1, round((10 - labels["empty"]) / 8)) + 10 - labels["empty"]
    student = ("student", mixed, round(2 * 16 / mixed))
    assert trained == [("teacher", 8, 2), student]

    assert main(["self-train", "--out", "out", "--resume", "--control"]) == 0
    again = json.loads((place / "out" / "results.json").read_text())["choice"]
    assert set(again["values"]) == {"teacher", "student", "control"}
    assert again["values"]["student"] == json.loads(json.dumps(choice["values"]["student"]))
    seen = 16 * (96 / 64) ** 2 + 10 * (96 / 64) ** 2 + student[1] * student[2]
    assert trained[2:] == [("control", 8, round(seen / 8))]
    capsys.readouterr()
    assert main(["self-train", "--out", "out", "--resume", "--threshold", "0.5"]) == 2
    assert "'self_train.threshold'" in capsys.readouterr().err


def test_teacher_is_refused_when_it_saw_validation_images(place, trained, capsys, caplog):
    finetune = ["finetune", "--data", "scenes", "--split", "val", "--val-split", "0.25", "--backbone", "start.keras"]
    assert main([*finetune, "--out", "before"]) == 0
    common = ["--images", "pool", "--out", "out"]
    given = ["--data", "scenes", "--backbone", "start.keras", "--teacher", "before/detector.keras"]
    caplog.clear()
    assert main(["self-train", *given, *common]) == 2
    assert "before/detector.keras was trained on 3 of the 4 images" in capsys.readouterr().err.splitlines()[-1]
    assert sum("is read as" in line for line in caplog.messages) == 2  # its parts, not again those of the teacher
    assert not (place / "out").exists()
    plan = self_train(None, "pool", run="before", out="out", plan=True)
    assert plan.config.self_train.teacher.detector == "before/detector.keras"
    assert (plan.config.data.train.split, plan.config.data.val.share) == ("val", 0.25)
    plan = self_train(None, "pool", run="before", teacher_image_size=128, out="out", plan=True)
    assert plan.stages[0].settings.image_size == 128


def test_teacher_is_a_file_of_more_classes_when_data_sets_are_given(place, networks, trained):
    train, val = (DetectionDataset.open("scenes", split=split) for split in ("train", "val"))
    networks.copy("teacher.keras", 2, ["other", *train.class_names[::-1]])
    found = self_train(**arguments("out", data=train[:6], val=val, teacher="teacher.keras"))
    assert [name for name, *_ in trained] == ["student"]
    read = DetectionDataset.open(found.folder / "given" / "train")
    assert [record.boxes.tolist() for record in read] == [record.boxes.tolist() for record in train[:6]]
    expected = kerassl.evaluate("teacher.keras", val)
    assert found.results["variants"]["teacher"]["detector"]["coco_ap"] == pytest.approx(expected.coco_ap)
    assert found.results["choice"]["values"]["teacher"]["coco_ap"][0] == pytest.approx(expected.coco_ap)


def test_nothing_is_trained_when_no_image_is_left_to_label(place, trained):
    for images, message in ((["pool/train.jpg", "pool/val.jpg"], "all of 2"), (["start.keras"], "none of 1")):
        with pytest.raises(UserError, match=message):
            self_train(**arguments("out", images=images))
        assert not trained
        assert not (place / "out").exists()


def test_images_may_be_others_on_resume_when_none_was_labeled(place, monkeypatch):
    monkeypatch.setattr(self_training, "_execute", lambda plan, folder: plan.config.data.unlabeled)
    assert self_train(**arguments("out", images=["pool/val.jpg"])) == ["pool/val.jpg"]
    assert self_train(images="pool", out="out", resume=True) == ["pool"]
    (place / "out" / "labels").mkdir()
    with pytest.raises(UserError, match=r"data\.unlabeled"):
        self_train(images="scenes", out="out", resume=True)


class Killed(BaseException):
    """A kill at some moment."""


@pytest.mark.slow
def test_weights_are_equal_to_the_bit_when_killed_at_each_stage(place, eagerly, monkeypatch):
    whole = self_train(**arguments("whole"))
    for stage, owner, name, count in [
        ("teacher", finetuning.callbacks.MetricsFile, "on_train_batch_end", 3),
        ("labels", importlib.import_module("kerassl.tasks.label"), "batch_rows", 2),
        ("student", finetuning.callbacks.MetricsFile, "on_train_batch_end", 3),
        ("choice", self_training.metrics, "coco_ap_of_images", 1),
    ]:
        with monkeypatch.context() as patch:
            kill(patch, owner, name, count)
            with pytest.raises(Killed):
                self_train(**arguments("killed", resume=(place / "killed").exists()))
        left = [one.name for one in plan_self_training(written(place / "killed"), place / "killed").left()]
        assert left[0] == stage
    resumed = self_train(**arguments("killed", resume=True))
    assert resumed.results["choice"] == whole.results["choice"]
    for name in ("teacher", "student"):
        files = [place / out / name / "detector.keras" for out in ("whole", "killed")]
        pair = [keras.saving.load_model(file, compile=False).get_weights() for file in files]
        for first, second in zip(*pair, strict=True):
            np.testing.assert_array_equal(second, first)
    for name in ("labels/annotations.json", "left_out.json"):
        assert (place / "killed" / name).read_bytes() == (place / "whole" / name).read_bytes()


def written(folder):
    return read_config(folder / "config.yaml", expand=False)


def kill(patch, owner, name, count):
    """Raise `Killed` in the `count`-th call of a function, after it is done."""
    function, calls = getattr(owner, name), []

    def counted(*args, **kwargs):
        found = function(*args, **kwargs)
        calls.append(None)
        if len(calls) == count:
            raise Killed
        return found

    patch.setattr(owner, name, counted)


@pytest.mark.slow  # twenty processes that each load TensorFlow
@pytest.mark.timeout(3600)
def test_files_and_weights_are_equal_to_the_bit_when_killed_at_random_moments(place):
    code = "import sys; from kerassl.cli.main import main; from kerassl.runs import finetune"
    code = f"{code}; finetune.CHECKPOINTS = {{'every': 1}}; sys.exit(main())"  # or no run is long enough for one
    command = [sys.executable, "-c", code, "self-train", "--data", "scenes", "--images", "pool"]
    command += ["--backbone", "start.keras", "--config", "small.yaml", "--out"]
    (place / "small.yaml").write_text(json.dumps(SMALL))
    start = time.monotonic()
    subprocess.run([*command, "whole"], check=True, capture_output=True)
    draw, took, kills = random.Random(0), time.monotonic() - start, 0
    while kills < 20:
        begun = (place / "killed" / "config.yaml").exists()
        if not begun:
            shutil.rmtree(place / "killed", ignore_errors=True)
        resume = ["--resume"] * begun
        process = subprocess.Popen([*command, "killed", *resume], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            # Loading takes half of the time: later moments are as likely as earlier ones of what is left.
            process.wait(draw.uniform(0.3, 1.1) * took)
        except subprocess.TimeoutExpired:
            process.kill()
            kills += 1
        error = process.communicate()[1]
        assert process.returncode in (0, -signal.SIGKILL), error
        if process.returncode == 0:
            check_equal(place / "whole", place / "killed")
            shutil.rmtree(place / "killed")
    if (place / "killed").exists():
        subprocess.run([*command, "killed", "--resume"], check=True, capture_output=True)
        check_equal(place / "whole", place / "killed")


def check_equal(whole, killed):
    """Whether two runs have the same weights, labels, predictions and choice."""
    for name in ("teacher", "student"):
        pair = [keras.saving.load_model(out / name / "detector.keras", compile=False) for out in (whole, killed)]
        for first, second in zip(*(model.get_weights() for model in pair), strict=True):
            np.testing.assert_array_equal(second, first)
        assert (killed / name / "detector_predictions.json").read_bytes() == (
            whole / name / "detector_predictions.json"
        ).read_bytes()
    for name in ("labels/annotations.json", "labels/card.json", "left_out.json", "choice.json"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes()
