import numpy as np
import pytest

from kerassl.detectors.yolov8 import distances, task_aligned


def slow_iou(a, b):
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    common = max(width, 0) * max(height, 0)
    return common / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common)


def slow_targets(centers, objects, classes, predicted, scores, count):
    """The rule of `targets` for one image, in loops: `{location: (object, score)}`."""
    real = [m for m in range(len(objects)) if classes[m] >= 0]
    kept = {}
    for m in real:
        x0, y0, x1, y1 = objects[m]
        asked = [a for a, (x, y) in enumerate(centers) if x0 < x < x1 and y0 < y < y1]
        if not asked:
            middle = (x0 + x1) / 2, (y0 + y1) / 2
            asked = [min(range(len(centers)), key=lambda a: np.hypot(*(centers[a] - middle)))]
        overlap = {a: slow_iou(predicted[a], objects[m]) for a in asked}
        align = {a: scores[a, int(classes[m])] ** 0.5 * overlap[a] ** 6 for a in asked}
        for a in sorted(asked, key=lambda a: -align[a])[:count]:
            kept[a, m] = overlap[a], align[a]
    wins = {}
    for (a, m), (overlap, _) in kept.items():
        if a not in wins or overlap > kept[a, wins[a]][0]:
            wins[a] = m
    answers = {}
    for a, m in wins.items():
        own = [kept[other, m] for other, winner in wins.items() if winner == m]
        answers[a] = m, kept[a, m][1] / max(align for _, align in own) * max(overlap for overlap, _ in own)
    return answers


def scene(images=6, objects=5, pads=2, kinds=3, seed=0):
    rng = np.random.default_rng(seed)
    centers, strides = distances.locations(64)
    corner = rng.uniform(0, 50, (images, objects + pads, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(2, 40, corner.shape)], -1).astype("float32")
    boxes[:, 0] = [13, 29, 15, 31]  # holds no location's center
    classes = rng.integers(0, kinds, (images, objects + pads)).astype("float32")
    boxes[:, objects:], classes[:, objects:] = -1, -1
    predicted = distances.to_boxes(
        rng.uniform(0.5, 5, (images, len(centers), 4)).astype("float32"), centers, strides
    ).numpy()
    scores = rng.uniform(0.001, 1, (images, len(centers), kinds)).astype("float32")
    return centers, boxes, classes, predicted, scores


@pytest.mark.parametrize("count", [1, 3, 10, 200])
def test_targets_equal_loops_when_objects_overlap_and_rows_pad(count):
    centers, boxes, classes, predicted, scores = scene()
    owned, wanted, _ = (part.numpy() for part in task_aligned.targets(*scene(), count=count))
    small = []
    for i in range(len(boxes)):
        answers = slow_targets(centers, boxes[i], classes[i], predicted[i], scores[i], count)
        assert {a for a in range(len(centers)) if wanted[i, a].any()} == set(answers)
        for a, (m, score) in answers.items():
            assert np.flatnonzero(wanted[i, a]).tolist() == [int(classes[i, m])]
            assert wanted[i, a].max() == pytest.approx(score, rel=1e-4)
            np.testing.assert_array_equal(owned[i, a], boxes[i, m])
        small += [centers[a].tolist() for a, (m, _) in answers.items() if m == 0]
    assert small
    assert all(center == [12, 28] for center in small)


def test_targets_do_not_change_with_the_rows_that_pad():
    centers, boxes, classes, predicted, scores = scene(pads=0)
    expected = task_aligned.targets(centers, boxes, classes, predicted, scores)
    padded = (
        np.pad(part, [(0, 0), (0, 9)] + [(0, 0)] * (part.ndim - 2), constant_values=-1) for part in (boxes, classes)
    )
    found = task_aligned.targets(centers, *padded, predicted, scores)
    np.testing.assert_array_equal(found[1], expected[1])
    answering = expected[1].numpy().any(-1)
    np.testing.assert_array_equal(found[0].numpy()[answering], expected[0].numpy()[answering])


@pytest.mark.parametrize("rows", [0, 3])
def test_nothing_is_wanted_when_there_is_no_object(rows):
    centers, _, _, predicted, scores = scene()
    boxes, classes = np.full((6, rows, 4), -1, "float32"), np.full((6, rows), -1, "float32")
    owned, wanted, _ = task_aligned.targets(centers, boxes, classes, predicted, scores)
    assert not wanted.numpy().any()
    assert owned.shape == predicted.shape
