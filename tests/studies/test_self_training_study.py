"""Labels that the study of self-training changes by the true ones, and its runs."""

import numpy as np
import pytest

from kerassl.datasets import Record
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
