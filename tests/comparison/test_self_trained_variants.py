"""Self-trained variants of a comparison and their controls: stages, what they share, and what is resumed."""

import dataclasses
import functools
import json
import shutil

import numpy as np
import pytest

from kerassl import backbones
from kerassl._io.state import write_json
from kerassl.cli.main import main
from kerassl.comparison import execute as compare
from kerassl.config import read_config
from kerassl.datasets import DetectionDataset, Record, write_coco
from kerassl.runs import finetune as finetuning
from kerassl.runs import students
from kerassl.runs.plan.comparison import plan_comparison
from kerassl.runs.plan.stages import Labeling, Matched, Mixed, Training
from kerassl.runs.running import TimeLimit

pytestmark = pytest.mark.current_stack

DETECTOR = {"kind": "yolov8", "num_filters": 8, "image_size": 64, "batch_size": 4, "epochs": 2}
VARIANTS = {
    "supervised": "random",
    "self-trained": {"self_train": {"length": 2}},
    "twice": {"self_train": {"rounds": 2, "second_threshold": 0.1, "mirror": True, "teacher": {"merged": 2}}},
    "control": {"control_of": "self-trained"},
}
SETTINGS = {
    "data.scenes": {"train": 8, "val": 4, "unlabeled": 6, "single_object": True},
    "detector": DETECTOR,
    "self_train": {"threshold": 0.0},
    "variants": VARIANTS,
    "compare": {"labels": [4], "seeds": 2, "baseline": "control", "tuning_images": 1},
}


def planned(folder, **changes):
    return plan_comparison(read_config(None, {**SETTINGS, **changes}), folder)


def test_teacher_is_shared_when_variants_train_it_alike(tmp_path):
    plan = planned(tmp_path)
    names = [stage.name for stage in plan.stages if stage.seed % 1000 == 0]
    assert names == [
        "detector-4-0 supervised",
        "teacher of detector-4-0 self-trained",
        "labels of detector-4-0 self-trained",
        "detector-4-0 self-trained",
        "teacher-2 of detector-4-0 twice",
        "labels of detector-4-0 twice",
        "student of detector-4-0 twice",
        "labels-2 of detector-4-0 twice",
        "detector-4-0 twice",
        "detector-4-0 control",
    ]
    stages = {stage.name: stage for stage in plan.stages}
    teacher, other = stages["teacher of detector-4-0 self-trained"], stages["teacher-2 of detector-4-0 twice"]
    assert (teacher.seed, other.seed, other.labels_seed, teacher.settings.image_size) == (0, 1000, 0, 96)
    first, second = (stages[f"{part} of detector-4-0 twice"] for part in ("labels", "labels-2"))
    assert (first.weights, first.second) == (str(teacher.outputs[0]), str(other.outputs[0]))
    assert (second.weights, second.second) == (str(stages["student of detector-4-0 twice"].outputs[0]), None)
    assert (first.settings.threshold, second.settings.threshold) == (0.0, 0.1)
    assert stages["detector-4-0 control"].student is stages["detector-4-0 self-trained"]
    assert [stage.variant for stage in plan.trials] == [*VARIANTS] * 2
    assert [stage.name for stage in plan.left()] == [stage.name for stage in plan.stages]


def test_intermediate_stages_are_left_out_when_their_trial_is_done(tmp_path):
    plan = planned(tmp_path)
    own = [stage for stage in plan.trials if stage.variant != "control"]
    for stage in own:
        write_json(stage.record, dict.fromkeys(
            ("variant", "protocol", "labels", "seed", "images", "figures", "per_image", "minutes", "steps"), 0
        ))  # fmt: skip
    assert [stage.name for stage in plan.left()] == ["detector-4-0 control", "detector-4-1 control"]


@pytest.mark.parametrize(
    ("variants", "message"),
    [
        ({"a": {"control_of": "b"}, "b": {"self_train": {}}}, "give a variant above that has self_train"),
        ({"a": {"self_train": {"control": True}}}, "add a variant with control_of: a"),
        ({"a": {"self_train": {"treshold": 0.1}}}, "did you mean 'threshold'"),
        ({"a": {"self_train": {}, "control_of": "a"}}, "give one of them"),
    ],
)
def test_variants_are_refused_when_they_do_not_go_together(variants, message):
    with pytest.raises(Exception, match=message):
        read_config(None, {"detector": {}, "variants": variants})
    assert protocols_of({"a": "random", "b": {"self_train": {}}}) == {"localizer": ["a"], "detector": ["a", "b"]}


def protocols_of(variants):
    config = read_config(None, {**SETTINGS, "variants": variants, "localizer": {}, "compare": {}})
    return {
        name: [stage.variant for stage in plan_comparison(config, "out").trials if stage.protocol == name]
        for name in ("localizer", "detector")
    }


@pytest.fixture
def trained(monkeypatch, tmp_path, tiny_backbone, tiny_detector):
    """The arguments of `finetune.run`, which trains nothing; labels are a box for every image but one."""
    found = []

    def run(stage, data, limit=None):
        kept = stage.figures()
        if kept is None:
            found.append((stage.name, len(data.train), stage.settings.epochs))
            file = tmp_path / f"{stage.settings.image_size}.keras"
            if not file.exists():
                tiny_detector("YOLOV8", data.classes, stage.settings.image_size).save(file)
            stage.folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, stage.folder / "detector.keras")
            ids = [record.image_id for record in data.test]
            each = {"ids": ids, "iou": [0.5] * len(ids), "top1": [1] * len(ids), "top3": [1] * len(ids)}
            write_json(stage.folder / "detector_images.json", each)
            kept = {"minutes": 0.1, "coco_ap": 0.1, "mean_iou": 0.5}
            write_json(stage.folder / "detector.json", kept)
        return kept

    def label(model, images, *, like, out, **settings):
        images = [path for path in images if path not in {record.path for record in like}]
        boxes, classes = np.float32([[1, 1, 9, 9]]), np.zeros(1, int)
        records = [Record(path, path, 160, 200, boxes, classes, np.zeros(1, bool)) for path in images]
        records[0] = dataclasses.replace(records[0], boxes=boxes[:0], classes=classes[:0], difficult=np.zeros(0, bool))
        write_coco(like.with_records(records), out, progress=False)
        write_json(out / "settings.json", {"result": {"images": len(images), "broken": 0}})

    monkeypatch.setattr(finetuning, "run", run)
    monkeypatch.setattr(students, "label", label)
    monkeypatch.setattr(backbones, "build", lambda name, **_: tiny_backbone())
    monkeypatch.setattr(compare, "variant_images", lambda *_: [])
    monkeypatch.setattr(compare, "_servable", lambda plan: plan.folder / "servables")
    monkeypatch.setattr(compare, "summarize", functools.partial(compare.summarize, resamples=20))
    return found


def test_control_sees_as_many_images_when_a_comparison_is_stopped_and_resumed(trained, tmp_path, monkeypatch):
    (tmp_path / "run.yaml").write_text(json.dumps(nested(SETTINGS)))
    command = ["compare", "--config", str(tmp_path / "run.yaml"), "--out", str(tmp_path / "out"), "--minutes", "60"]
    asked = []
    with monkeypatch.context() as patch:
        patch.setattr(TimeLimit, "over", lambda self: asked.append(0) or len(asked) == 4)
        assert main(command) == 3
    assert [name for name, *_ in trained] == ["detector-4-0 supervised", "teacher of detector-4-0 self-trained"]
    assert main([*command, "--resume"]) == 0
    plan = planned(tmp_path / "out")
    assert [name for name, *_ in trained] == [stage.name for stage in plan.stages if isinstance(stage, Training)]
    seen = dict(zip([name for name, *_ in trained], trained))
    for seed in (0, 1):
        student = next(one for one in plan.of(Mixed) if one.name == f"detector-4-{seed} self-trained")
        record = json.loads(student.record.read_text())
        _, mixed, epochs = seen[student.name]
        pool = 6 + 8 - 4  # scenes without labels, and those of train whose labels this trial does not use
        assert record["images_seen"] == pytest.approx((8 + pool) * (96 / 64) ** 2 + mixed * epochs)
        assert seen[f"detector-4-{seed} control"][1:] == (4, round(record["images_seen"] / 4))
        twice = json.loads((tmp_path / f"out/trials/twice/detector-4-{seed}.json").read_text())
        first, last = seen[f"student of detector-4-{seed} twice"], seen[f"detector-4-{seed} twice"]
        passes = 2 * (8 + 2 * pool) * (96 / 64) ** 2 + 2 * pool
        assert twice["images_seen"] == pytest.approx(passes + first[1] * first[2] + last[1] * last[2])
    kept, cleared = (tmp_path / "out/self_training/self-trained" / f"detector-4-{seed}" for seed in (0, 1))
    assert len(DetectionDataset.open(kept / "labels")) == 10
    assert (kept / "teacher" / "detector.json").exists()
    assert not (cleared / "labels").exists()
    assert not (cleared / "teacher" / "detector.json").exists()
    results = json.loads((tmp_path / "out/results.json").read_text())
    assert results["variants"]["self-trained"]["seen"].endswith("images that its teacher labeled.")
    assert np.isfinite(results["variants"]["control"]["detector"]["coco_ap"])
    assert planned(tmp_path / "out").left() == []
    assert {type(stage) for stage in plan.stages} == {Training, Labeling, Mixed, Matched}


def nested(settings):
    return {"data": {"scenes": settings["data.scenes"]}, **{k: v for k, v in settings.items() if "." not in k}}
