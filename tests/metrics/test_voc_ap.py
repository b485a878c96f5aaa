"""VOC's average precision against the devkit's loops, and against cases worked by hand."""

import math

import numpy as np
import pytest

from kerassl import UserError
from kerassl.boxes import box_iou
from kerassl.metrics import voc, voc_ap
from kerassl.metrics.checks import checked


def _overlap(a, b):
    """With the devkit's inclusive pixels, of boxes that were shifted by one at their upper left."""
    width = min(a[2], b[2]) - max(a[0] + 1, b[0] + 1) + 1
    height = min(a[3], b[3]) - max(a[1] + 1, b[1] + 1) + 1
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return width * height / (areas[0] + areas[1] - width * height)


def _devkit(predictions, records, label):
    """One class, detection by detection: the average precision of each protocol."""
    objects = {}
    count = 0
    for record in records:
        of_class = [i for i in range(len(record.classes)) if record.classes[i] == label]
        objects[record.image_id] = [[record.boxes[i].tolist(), record.difficult[i], False] for i in of_class]
        count += sum(not record.difficult[i] for i in of_class)
    found = [
        (float(score), record.image_id, box.tolist())
        for record in records
        for box, score, name in zip(
            *(getattr(predictions[record.image_id], key) for key in ("boxes", "scores", "classes"))
        )
        if name == label
    ]
    found.sort(key=lambda one: -one[0])
    right, wrong, curve = 0, 0, []
    for _, image_id, box in found:
        best, owner = -1.0, None
        for one in objects[image_id]:
            overlap = _overlap(box, one[0])
            if overlap > best:
                best, owner = overlap, one
        if owner is not None and best >= 0.5:
            if owner[1]:
                continue
            if owner[2]:
                wrong += 1
            else:
                right += 1
                owner[2] = True
        else:
            wrong += 1
        curve.append((right, right / (right + wrong)))
    if not count:
        return {"voc07": math.nan, "voc10": math.nan}
    points = [max([p for r, p in curve if r * 10 >= t * count], default=0.0) for t in range(11)]
    area, last = 0.0, 0
    for place, (r, _) in enumerate(curve):
        area += (r - last) / count * max(p for _, p in curve[place:])
        last = r
    return {"voc07": sum(points) / 11, "voc10": area}


@pytest.mark.current_stack
@pytest.mark.parametrize("count", [500, pytest.param(10_000, marks=pytest.mark.slow)])
def test_ap_equals_the_devkits_loops_when_cases_are_random(case, count):
    names = ["cat", "dog", "cow"]
    sizes = [{"images": 1, "objects": 2}, {"images": 2}, {"images": 3, "difficult": 0.6}, {"classes": 1}]
    seen = dict.fromkeys(["partial", "no detections", "no objects", "only difficult", "ties"], 0)
    for seed in range(count):
        predictions, records = case(seed, **{"images": 2, "detections": 6, **sizes[seed % 4]})
        hard = [np.any(r.difficult) for r in records]
        scores = np.concatenate([one.scores for one in predictions.values()])
        of_classes = [_devkit(predictions, records, label) for label in range(3)]
        found = voc.match_detections(checked(predictions, records, names), 3, 0.5)  # `voc_ap` once for both protocols
        for protocol in ("voc07", "voc10"):
            expected = [both[protocol] for both in of_classes]
            out = voc.average_precision(found, names, protocol)
            if seed % 100 == 0:
                np.testing.assert_equal(voc_ap(predictions, records, names, protocol=protocol).to_dict(), out.to_dict())
            assert out.per_class == pytest.approx(dict(zip(names, expected)), abs=1e-12, nan_ok=True), seed
            known = [ap for ap in expected if not math.isnan(ap)]
            assert math.isclose(out.ap, np.mean(known), abs_tol=1e-12) if known else math.isnan(out.ap)
        seen["partial"] += any(0.05 < ap < 0.95 for ap in known)
        seen["no detections"] += not len(scores)
        seen["no objects"] += not known and not any(hard)
        seen["only difficult"] += not known and any(hard)
        seen["ties"] += len(np.unique(scores)) < len(scores)
    assert seen["partial"] > 0.3 * count, seen  # the cases are neither all right nor all wrong
    assert min(seen.values()) > 0.01 * count, seen


@pytest.mark.current_stack
def test_iou_equals_the_loop_over_inclusive_pixels_when_boxes_are_random():
    rng = np.random.default_rng(0)
    low = rng.integers(0, 50, [40, 2])
    boxes = np.concatenate([low, low + rng.integers(1, 40, [40, 2])], axis=1)
    expected = [[_overlap(a, b) for b in boxes.tolist()] for a in boxes[:9].tolist()]
    np.testing.assert_allclose(box_iou(boxes[:9], boxes), expected, atol=1e-12)


@pytest.mark.current_stack
def test_iou_is_zero_when_boxes_have_no_area():
    np.testing.assert_array_equal(box_iou([[3, 3, 3, 3]], [[3, 3, 3, 3], [0, 0, 9, 9]]), [[0, 0]])
    assert box_iou(np.zeros([0, 4]), np.zeros([2, 4])).shape == (0, 2)


@pytest.mark.current_stack
def test_protocols_differ_as_worked_by_hand_when_half_of_the_detections_are_right(record, prediction):
    # Right, wrong, right of 4 objects: precision 1 up to recall 1/4, 2/3 up to 1/2, 0 after it.
    places = [[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10], [60, 0, 70, 10]]
    records = [record("a", places, [0] * 4)]
    found = {"a": prediction([places[0], [80, 80, 90, 90], places[1]], [0.9, 0.8, 0.7], [0] * 3)}
    assert voc_ap(found, records, ["cat"], protocol="voc10").ap == pytest.approx(1 / 4 + 1 / 4 * 2 / 3)
    assert voc_ap(found, records, ["cat"]).ap == pytest.approx((3 * 1 + 3 * 2 / 3) / 11)


@pytest.mark.current_stack
def test_recall_of_three_tenths_reaches_its_point_when_ten_objects_are_sought(record, prediction):
    places = [[20 * i, 0, 20 * i + 10, 10] for i in range(10)]
    found = {"a": prediction(places[:3], [0.9, 0.8, 0.7], [0] * 3)}
    assert voc_ap(found, [record("a", places, [0] * 10)], ["cat"]).ap == pytest.approx(4 / 11)


@pytest.mark.current_stack
def test_second_detection_is_wrong_when_the_object_is_taken(record, prediction):
    records = [record("a", [[0, 0, 10, 10], [20, 0, 30, 10]], [0, 0])]
    found = {"a": prediction([[0, 0, 10, 10]] * 2 + [[20, 0, 30, 10]], [0.9, 0.8, 0.7], [0] * 3)}
    assert voc_ap(found, records, ["cat"], protocol="voc10").ap == pytest.approx(1 / 2 + 1 / 2 * 2 / 3)


@pytest.mark.current_stack
def test_difficult_object_changes_nothing_when_found_twice_or_not_at_all(record, prediction):
    boxes = [[0, 0, 10, 10], [20, 0, 30, 10]]
    records = [record("a", boxes, [0, 0], difficult=[False, True])]
    twice = {"a": prediction([boxes[1], boxes[1], boxes[0]], [0.9, 0.8, 0.7], [0] * 3)}
    never = {"a": prediction([boxes[0]], [0.7], [0])}
    for found in (twice, never):
        assert voc_ap(found, records, ["cat"]).ap == pytest.approx(1)


@pytest.mark.current_stack
def test_overlap_of_exactly_a_half_is_right_when_the_threshold_is_a_half(record, prediction):
    records = [record("a", [[0, 0, 10, 10]], [0])]
    found = {"a": prediction([[0, 0, 10, 5]], [0.9], [0])}
    assert voc_ap(found, records, ["cat"]).ap == pytest.approx(1)
    assert voc_ap(found, records, ["cat"], iou_threshold=0.51).ap == 0


@pytest.mark.current_stack
def test_class_without_objects_is_left_out_of_the_mean_when_it_is_predicted(record, prediction):
    records = [record("a", [[0, 0, 10, 10]], [0])]
    found = {"a": prediction([[0, 0, 10, 10]] * 2, [0.9, 0.8], [0, 1])}
    out = voc_ap(found, records, ["cat", "dog"])
    assert out.ap == pytest.approx(1)
    assert math.isnan(out.per_class["dog"])


@pytest.mark.current_stack
def test_unknown_protocol_is_refused_when_asked_for(record, prediction):
    with pytest.raises(UserError, match=r"voc12.*voc07"):
        voc_ap({"a": prediction([], [], [])}, [record("a", [], [])], ["cat"], protocol="voc12")
