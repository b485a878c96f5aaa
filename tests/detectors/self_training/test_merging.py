"""Detections of an image and of its mirror image against loops, and their symmetries."""

import numpy as np
import pytest

from kerassl.boxes import box_iou
from kerassl.detectors.self_training.merging import merge_mirrored
from kerassl.types import Detections

pytestmark = pytest.mark.current_stack

WIDTH = 97


def flipped(found):
    x0, y0, x1, y1 = np.asarray(found.boxes, np.float64).T
    return Detections(np.stack([WIDTH - x1, y0, WIDTH - x0, y1], 1), found.scores, found.classes)


def crowded(draw, count):
    """Boxes of two classes that overlap, in coordinates whose sums are exact."""
    corners = draw.integers(0, 64, [count, 2]) / 4
    boxes = np.concatenate([corners, corners + 20 + draw.integers(0, 80, [count, 2]) / 4], 1).reshape(-1, 4)
    return Detections(boxes.astype("float32"), draw.uniform(0, 1, count).astype("float32"), draw.integers(0, 2, count))


def slow_merged(first, second):
    """The best pair that is left, again and again."""
    overlap = box_iou(first.boxes, second.boxes)
    pairs = [
        (-(float(first.scores[i]) + float(second.scores[j])), -overlap[i, j], i, j)
        for i in range(len(first))
        for j in range(len(second))
        if first.classes[i] == second.classes[j] and overlap[i, j] >= 0.5
    ]
    rows, left, right = [], set(range(len(first))), set(range(len(second)))
    for total, less, i, j in sorted(pairs):
        if i in left and j in right:
            left.remove(i), right.remove(j)
            mean = (first.boxes[i].astype(float) + second.boxes[j]) / 2
            rows.append([*mean, -total / 2, first.classes[i], -less])
    rows += [[*found.boxes[i], found.scores[i] / 2, found.classes[i], 0] for found, some in
             ((first, left), (second, right)) for i in some]  # fmt: skip
    return np.array(sorted(rows, key=lambda row: -row[4])).reshape(-1, 7)


def table(found, agreement):
    return np.column_stack([found.boxes, found.scores, found.classes, agreement])


@pytest.mark.parametrize("counts", [(0, 0), (3, 0), (0, 3), (5, 7), (40, 40)])
def test_pairs_equal_those_of_loops_when_boxes_overlap(counts):
    draw = np.random.default_rng(0)
    for _ in range(50):
        first, second = (crowded(draw, count) for count in counts)
        found, agreement = merge_mirrored(first, flipped(second), WIDTH)
        expected = slow_merged(first, second)
        np.testing.assert_allclose(table(found, agreement), expected, rtol=1e-5)
        assert (np.diff(found.scores) <= 0).all()
        other = table(*merge_mirrored(flipped(second), first, WIDTH))  # the image mirrored
        back = flipped(Detections(other[:, :4], other[:, 4], other[:, 5])).boxes
        other = np.concatenate([back, other[:, 4:]], 1)
        np.testing.assert_allclose(other[np.lexsort(other.T)], expected[np.lexsort(expected.T)], rtol=1e-5)


def test_agreement_is_one_when_the_detector_is_symmetric():
    draw = np.random.default_rng(1)
    boxes = np.stack([20 * np.arange(9), np.zeros(9), 20 * np.arange(9) + 15, 9 + np.arange(9)], 1) / 2
    given = Detections(boxes, -np.sort(-draw.uniform(0, 1, 9)), draw.integers(0, 2, 9))
    found, agreement = merge_mirrored(given, flipped(given), WIDTH)
    np.testing.assert_array_equal(agreement, 1)
    np.testing.assert_allclose(table(found, agreement)[:, :6], table(given, agreement)[:, :6], rtol=1e-6)
