"""Labels that the study of self-training changes by the true ones, its runs, and the table of their results."""

import json
import types

import numpy as np
import pytest

from kerassl.datasets import Record
from kerassl.metrics import CocoMatches
from studies import plot_results
from studies import self_training as study

pytestmark = pytest.mark.current_stack


def record(boxes, classes, difficult=()):
    count = len(boxes)
    return Record(
        "a", "a", 99, 99, np.float32(boxes).reshape(-1, 4), np.array(classes, int), np.isin(np.arange(count), difficult)
    )


TRUTH = record([[0, 0, 10, 10], [20, 20, 40, 40], [60, 60, 80, 80]], [0, 1, 2], difficult=[2])
FOUND = record([[1, 0, 10, 10], [0, 0, 10, 9], [20, 20, 40, 39], [50, 0, 60, 10]], [0, 0, 2, 1])


def rows(one):
    return [(box, kind, bool(bad)) for box, kind, bad in zip(one.boxes.tolist(), one.classes, one.ignored)]


def test_screens_use_the_true_labels_when_they_change_those_of_a_teacher():
    boxes, true = FOUND.boxes.tolist(), TRUTH.boxes.tolist()
    assert rows(study.ceiling(FOUND, TRUTH)) == [(true[0], 0, False), (true[1], 1, False), (true[2], 2, True)]
    right = [(boxes[0], 0, False)]
    assert rows(study.correct(FOUND, TRUTH, rest=True)) == [*right, (true[1], 1, True), (true[2], 2, True)]
    assert rows(study.correct(FOUND, TRUTH)) == right
    named = rows(study.true_names(FOUND, TRUTH))
    assert [kind for _, kind, _ in named] == [0, 0, 1, 1]
    assert [box for box, *_ in named] == boxes
    empty = record([], [])
    assert rows(study.correct(empty, TRUTH)) == rows(study.true_names(empty, TRUTH)) == []


def test_quality_counts_each_object_once_when_labels_are_on_it_twice():
    counts = {"images": 2, "objects": 4, "right_but_class": 1}
    ignored = study.with_boxes(FOUND, ([0, 0, 10, 10], 0, False), ([20, 20, 40, 40], 1, True))
    band = {"labels": 5, "right": 2, "found": 2, "ignored_regions": 1, "found_or_ignored": 3}
    assert study.quality([FOUND, ignored], [TRUTH, TRUTH]) == {**counts, **band}


def test_test_images_are_scored_when_the_flag_is_given_alone(tmp_path):
    given = ["test", "--data", str(tmp_path), "--out", str(tmp_path / "out")]
    for more in ([], ["--score-test-images", "--set", "detector.epochs=1"]):
        with pytest.raises(SystemExit):
            study.main([*given, *more])
    assert not (tmp_path / "out").exists()
    seeds = {
        part: {run.seed for run in study.runs(part, None, None)} for part in ("screens", "choose", "noise", "test")
    }
    assert min(seeds["screens"] | seeds["choose"] | seeds["noise"]) == 100
    assert seeds["test"] == {0, 1, 2, 3, 4}
    names = [run.name for run in study.runs("test", None, None)]
    assert len(names) == len(set(names)) == 14


def write_trial(options, variant, labels, quality):
    """Write the files of a trial that is done; a share of its detections, `quality`, is right."""
    draw = np.random.default_rng(labels)
    images, objects, detections = 12, 20, 60
    right = draw.random([10, detections]) < quality
    figures = {"mean_iou": quality, "loc_acc_50": quality, "loc_acc_70": quality, "top1": quality, "top3": quality}
    ids = [str(image) for image in range(images)]
    per_image = {"ids": ids, "iou": [quality] * images, "top1": [1] * images, "top3": [1] * images}
    trial = {"variant": variant, "protocol": "detector", "labels": labels, "seed": 0, "per_image": per_image}
    folder = options.out / f"test-own-{labels}-0" / "trials" / variant
    folder.mkdir(parents=True)
    matches = CocoMatches(
        np.array(ids), np.array([[objects, detections]]), draw.integers(0, images, objects),
        draw.integers(0, images, detections), right, ~right,
    )  # fmt: skip
    figures |= {**matches(np.arange(images)), "voc07_ap50": quality, "voc10_ap50": quality}
    (folder / f"detector-{labels}-0.json").write_text(json.dumps({**trial, "figures": figures}))
    matches.save(folder / f"detector-{labels}-0.npz")
    one = {"variant": variant, "part": "test", "pool": "own", "labels": labels, "seed": 0}
    options.results.mkdir(exist_ok=True)
    (options.results / f"test-own-{labels}-0-{variant}.json").write_text(json.dumps(one))
    return figures


def test_table_and_plot_are_of_the_trials_that_are_done(tmp_path):
    options = types.SimpleNamespace(out=tmp_path / "out", results=tmp_path / "results")
    figures = {
        (variant, labels): write_trial(options, variant, labels, quality)
        for labels in (100, 300)
        for variant, quality in (("supervised", 0.2), ("control", 0.4), ("self-trained", 0.8))
    }
    study.table(options)
    write_trial(options, "control", 1000, 0.5)
    study.table(options)  # again, with more
    summary = json.loads((options.results / "summary-test-own.json").read_text())
    counts = summary["protocols"]["detector"]["counts"]
    assert [count["labels"] for count in counts] == [100, 300, 1000]
    for count in counts[:2]:
        own = {name: figures[name, count["labels"]]["coco_ap"] for name in count["variants"]}
        assert {name: each["figures"]["coco_ap"]["mean"] for name, each in count["variants"].items()} == own
        gain = next(each for each in count["differences"] if each["variant"] == "self-trained")["measures"]["coco_ap"]
        assert gain["value"] == pytest.approx(own["self-trained"] - own["control"])
    curves, gains = plot_results.self_training(summary).axes
    assert [line.get_xdata().tolist() for line in curves.get_lines()] == [[100, 300]] * 3
    assert len(gains.containers) == 2 * 3


def test_settings_of_self_training_are_recorded_when_a_variant_has_them():
    run = types.SimpleNamespace(variants={"self-trained": {}, "two rounds": {"rounds": 2}})
    assert [study._self_training(None, name, run) for name in ("supervised", "self-trained", "two rounds")] == [
        {}, {}, {"rounds": 2},
    ]  # fmt: skip
