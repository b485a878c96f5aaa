import math

import numpy as np
import pytest
import tensorflow as tf
from keras_cv.src.bounding_box.iou import compute_ciou

from kerassl.detectors.yolov8 import distances


def random_distances(*shape, seed=0):
    return np.random.default_rng(seed).uniform(0.1, 8, (*shape, 4)).astype("float32")


def slow_ciou(a, b):
    """Of two boxes xyxy, by the formulas of the paper."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    common = max(width, 0) * max(height, 0)
    sizes = [(box[2] - box[0], box[3] - box[1]) for box in (a, b)]
    iou = common / (sizes[0][0] * sizes[0][1] + sizes[1][0] * sizes[1][1] - common)
    distance = ((a[0] + a[2] - b[0] - b[2]) ** 2 + (a[1] + a[3] - b[1] - b[3]) ** 2) / 4
    diagonal = (max(a[2], b[2]) - min(a[0], b[0])) ** 2 + (max(a[3], b[3]) - min(a[1], b[1])) ** 2
    v = 4 / math.pi**2 * (math.atan(sizes[0][0] / sizes[0][1]) - math.atan(sizes[1][0] / sizes[1][1])) ** 2
    alpha = v / (1 - iou + v)
    return iou - distance / diagonal - alpha * v, alpha


def test_locations_are_row_by_row_in_the_middle_of_their_squares():
    centers, strides = distances.locations(64)
    expected = [(x + s / 2, y + s / 2, s) for s in (8, 16, 32) for y in range(0, 64, s) for x in range(0, 64, s)]
    np.testing.assert_array_equal(np.concatenate([centers, strides], -1), expected)


def test_distance_is_the_mean_bin():
    bins = np.random.default_rng(0).normal(size=(2, 3, 64)).astype("float32")
    for index in np.ndindex(2, 3):
        for side in range(4):
            weights = np.exp(bins[index][16 * side : 16 * side + 16].astype("float64"))
            mean = (weights * np.arange(16)).sum() / weights.sum()
            assert float(distances.expected(bins)[index][side]) == pytest.approx(mean, rel=1e-5)


def test_boxes_lead_back_to_distances():
    centers, strides = distances.locations(64)
    there = distances.to_boxes(random_distances(2, len(centers)), centers, strides)
    assert (there[..., 2:] > there[..., :2]).numpy().all()
    np.testing.assert_allclose(
        distances.to_distances(there, centers, strides), random_distances(2, len(centers)), atol=1e-4
    )
    one = distances.to_boxes(tf.constant([[[1.0, 2, 3, 4]]]), np.array([[20.0, 12]], "float32"), strides[:1])
    np.testing.assert_array_equal(one[0, 0], [12, -4, 44, 44])


@pytest.mark.parametrize("square", [False, True])
def test_ciou_equals_the_paper_and_keras_cv_when_boxes_are_random(square):
    first, second = random_distances(200), random_distances(200, seed=1)
    if square:
        for one in (first, second):
            one[:, 3] = one[:, 0] + one[:, 2] - one[:, 1]
    first[100:] += (30, 0, -30, 0)  # 30 strides to the left: no overlap
    boxes = [np.concatenate([-d[:, :2], d[:, 2:]], -1) for d in (first, second)]
    found = distances.ciou(first, second).numpy()
    np.testing.assert_allclose(found, [slow_ciou(a, b)[0] for a, b in zip(*boxes)], atol=1e-5)
    if square:  # KerasCV squares the factor of the aspect ratios' term too
        np.testing.assert_allclose(found, compute_ciou(boxes[0], boxes[1], "xyxy"), atol=1e-5)
    assert (found[:100] > 0).any()
    assert (found[100:] < 0).all()


def test_gradient_of_ciou_is_that_of_the_paper_which_holds_alpha_fixed():
    first, second = random_distances(1)[0].astype("float64"), random_distances(1, seed=1)[0].astype("float64")

    def with_alpha(distance, alpha):
        a, b = (np.concatenate([-d[:2], d[2:]]) for d in (first, distance))
        value, own = slow_ciou(a, b)
        v = 4 / math.pi**2 * (math.atan((a[2] - a[0]) / (a[3] - a[1])) - math.atan((b[2] - b[0]) / (b[3] - b[1]))) ** 2
        return value + (own - alpha) * v

    alpha = slow_ciou(*(np.concatenate([-d[:2], d[2:]]) for d in (first, second)))[1]
    steps = 1e-6 * np.eye(4)
    expected = [(with_alpha(second + s, alpha) - with_alpha(second - s, alpha)) / 2e-6 for s in steps]
    variable = tf.constant(second)
    with tf.GradientTape() as tape:
        tape.watch(variable)
        value = distances.ciou(tf.constant(first), variable)
    np.testing.assert_allclose(tape.gradient(value, variable), expected, atol=1e-6)


@pytest.mark.parametrize("wanted", [(0, 0, 0, 0), (3, 3, 3, 3), (-2, 1, 4, 1)])
def test_losses_and_gradients_are_finite_when_boxes_are_empty_or_beside_their_location(wanted):
    wanted = tf.constant([wanted], tf.float32)
    for bins in (np.zeros((1, 64)), np.where(np.arange(64) % 16 == 0, 1e4, 0)[None], np.full((1, 64), -1e4)):
        bins = tf.constant(bins, tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(bins)
            loss = 1 - distances.ciou(wanted, distances.expected(bins)) + distances.distribution_loss(wanted, bins)
        assert np.isfinite(loss).all()
        assert np.isfinite(tape.gradient(loss, bins)).all()


def test_distribution_loss_equals_loops_and_is_least_at_the_truth():
    wanted = np.array([[0.0, 3.25, 14.9, 40.0], [7.0, -1.0, 0.5, 15.0]], "float32")
    bins = np.random.default_rng(0).normal(size=(2, 64)).astype("float32")
    expected = np.zeros(2)
    for row, side in np.ndindex(2, 4):
        logits = bins[row, 16 * side : 16 * side + 16].astype("float64")
        log_share = logits - np.log(np.exp(logits).sum())
        y = min(max(float(wanted[row, side]), 0), 15)
        left = min(int(y), 14)
        expected[row] -= ((left + 1 - y) * log_share[left] + (y - left) * log_share[left + 1]) / 4
    np.testing.assert_allclose(distances.distribution_loss(wanted, bins), expected, rtol=1e-5)
