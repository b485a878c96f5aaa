"""Thresholds against sorting and counting by loops."""

import math

import numpy as np
import pytest

from kerassl import UserError
from kerassl.datasets import LabelWeights, Record
from kerassl.detectors.self_training.thresholds import count_matched, fixed

pytestmark = pytest.mark.current_stack


def labeled_record(classes, difficult=(), ignore=None):
    count = len(classes)
    marked = np.isin(np.arange(count), difficult)
    weights = None if ignore is None else LabelWeights(np.ones(count), np.ones(count), np.isin(range(count), ignore))
    return Record("a", "a", 9, 9, np.ones([count, 4]), np.array(classes, int), marked, weights=weights)


def slow_cuts(scores, classes, images, records, count, share, floor):
    """Ranks of detections that are sorted class by class, in Python's own numbers."""
    label_cuts, ignore_cuts = [], []
    for label in range(count):
        boxes = sum(int(each) == label for record in records for each in record.classes)
        expected = boxes * images / len(records)
        own = sorted((float(s) for s, c in zip(scores, classes) if c == label and s >= floor), reverse=True)
        for cuts, wanted in ((label_cuts, share * expected), (ignore_cuts, expected)):
            rank, cut = 0, math.inf
            while rank + 0.5 <= wanted:
                rank += 1
                cut = own[rank - 1] if rank <= len(own) else floor
            cuts.append(cut)
    return label_cuts, ignore_cuts


def test_thresholds_equal_sorting_and_counting_when_cases_are_random():
    draw = np.random.default_rng(0)
    for case in range(3_000):
        count, detections = draw.integers(1, 5), draw.integers(0, 30)
        images, share = int(draw.integers(1, 12)), float(draw.choice([0.1, 0.25, 0.5, 1.0]))
        scores = draw.integers(0, 12, detections) / 12 if case % 2 else draw.uniform(0, 1, detections)  # with ties
        scores, classes = scores.astype("float32"), draw.integers(0, count, detections)
        records = [
            labeled_record(draw.integers(0, draw.integers(1, count + 1), draw.integers(0, 4)))
            for _ in range(draw.integers(1, 5))
        ]
        names = [str(number) for number in range(count)]
        found = count_matched(scores, classes, images, records, names, share=share)
        label, ignore = slow_cuts(scores, classes, images, records, count, share, 0.05)
        assert (found.label, found.ignore) == (tuple(label), tuple(ignore))
        order = draw.permutation(detections)
        assert count_matched(scores[order], classes[order], images, records[::-1], names, share=share) == found
        kinds = found.kinds(scores, classes)
        for score, kind, *marked in zip(scores, classes, *kinds):
            assert marked == [score >= label[kind], ignore[kind] <= score < label[kind]]


def test_class_gets_no_labels_and_is_named_when_the_labeled_images_have_none():
    records = [labeled_record([0, 2, 3], difficult=[1], ignore=[2])]
    found = count_matched([0.9] * 4, [0, 1, 2, 3], 4, records, "abcd")
    assert found.unlabeled == ("b", "c", "d")
    assert found.kinds([0.9] * 4, [0, 1, 2, 3])[0].tolist() == [True, False, False, False]
    assert found.to_dict()["b"] == {"label": None, "ignore": None}


def test_one_threshold_ignores_nothing_when_it_is_fixed():
    labels, ignored = fixed(0.3, "ab").kinds([0.3, 0.29, 0.5], [0, 0, 1])
    assert labels.tolist() == [True, False, True]
    assert not ignored.any()
    with pytest.raises(UserError, match=r"threshold is 1\.5"):
        fixed(1.5, "ab")
