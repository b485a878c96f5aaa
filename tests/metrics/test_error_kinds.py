"""Kinds of errors against plain loops, against the AP of predictions that were fixed by hand, and by hand."""

import dataclasses
import math

import numpy as np
import pytest

from kerassl import UserError
from kerassl.metrics import error_kinds, evaluate_detections, voc_ap

pytestmark = pytest.mark.current_stack  # NumPy alone: both stacks would find out the same

NAMES = ["cat", "dog", "cow"]
KINDS = ["class", "box", "both", "duplicate", "background", "missed"]


def _iou(a, b):
    width, height = (min(a[i + 2], b[i + 2]) - max(a[i], b[i]) for i in (0, 1))
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return width * height / (sum(areas) - width * height)


def _loops(predictions, records):
    """Detection by detection: what each is, and which object it is held to; and the state of every object."""
    objects, found = [], []
    for record in records:
        first = len(objects)
        for box, label, hard in zip(record.boxes.tolist(), record.classes.tolist(), record.difficult.tolist()):
            objects.append({"box": box, "label": label, "hard": hard, "found": False, "explained": False})
        mine = objects[first:]
        one = predictions[record.image_id]
        rows = zip(*(values.tolist() for values in (one.scores, one.boxes, one.classes)))
        for score, box, label in sorted(rows, key=lambda row: -row[0]):
            detection = {"score": score, "label": label, "owner": None}
            own, best = 0.0, None  # best of its class, difficult ones too: as the devkit matches
            for each in mine:
                if each["label"] == label and _iou(box, each["box"]) > own:
                    own, best = _iou(box, each["box"]), each
            if best is not None and own >= 0.5:
                if best["hard"]:
                    detection["kind"] = "ignored"
                elif not best["found"]:
                    best["found"] = True
                    detection["kind"] = "right"
            found.append(detection)
            if "kind" in detection:
                continue
            near = {True: (0.0, None), False: (0.0, None)}  # the best easy object of its class, and of another
            for each in mine:
                if not each["hard"] and _iou(box, each["box"]) > near[each["label"] == label][0]:
                    near[each["label"] == label] = _iou(box, each["box"]), each
            (own, own_object), (other, other_object) = near[True], near[False]
            if 0.1 <= own < 0.5:
                detection.update(kind="box", owner=own_object)
                own_object["explained"] = True
            elif other >= 0.5:
                detection.update(kind="class", owner=other_object)
                other_object["explained"] = True
            elif own >= 0.5:
                detection["kind"] = "duplicate"
            else:
                detection["kind"] = "background" if own < 0.1 and other < 0.1 else "both"
    return found, objects


def _area(found, objects, fixed=None):
    """Mean area under the falling precision, of detections of which one kind is fixed."""
    sought = [o for o in objects if not o["hard"]]
    if fixed == "missed":
        sought = [o for o in sought if o["found"] or o["explained"]]
    rows, given = [], set()
    for one in sorted(found, key=lambda one: -one["score"]):
        if one["kind"] == fixed:
            owner = one["owner"]
            if owner is not None and not owner["found"] and id(owner) not in given:
                given.add(id(owner))
                rows.append((owner["label"], True))
        elif one["kind"] != "ignored":
            rows.append((one["label"], one["kind"] == "right"))
    areas = []
    for label in range(len(NAMES)):
        count = sum(o["label"] == label for o in sought)
        right = [good for name, good in rows if name == label]
        if count:
            curve = [(sum(right[: n + 1]), sum(right[: n + 1]) / (n + 1)) for n in range(len(right))]
            rises = [n for n in range(len(right)) if right[n]]
            areas.append(sum(max(p for _, p in curve[n:]) for n in rises) / count)
    return sum(areas) / len(areas) if areas else math.nan


def test_kinds_and_gains_equal_plain_loops_when_cases_are_random(case):
    seen, gained = dict.fromkeys([*KINDS, "right", "ignored"], 0), dict.fromkeys(KINDS, 0)
    for seed in range(400):
        predictions, records = case(seed, step=(10, 4)[seed % 2])
        swap = np.random.default_rng(seed)
        for name, one in predictions.items():  # good boxes of wrong classes
            labels = (one.classes + (swap.uniform(size=len(one)) < 0.4)).astype(np.int32) % 3
            predictions[name] = dataclasses.replace(one, classes=labels)
        out = error_kinds(predictions, records, NAMES)
        found, objects = _loops(predictions, records)
        missed = [o for o in objects if not (o["hard"] or o["found"] or o["explained"])]
        for label, name in enumerate(NAMES):
            expected = {kind: sum(d["kind"] == kind and d["label"] == label for d in found) for kind in KINDS[:5]}
            assert out.per_class[name] == {**expected, "missed": sum(o["label"] == label for o in missed)}, seed
        ap50 = _area(found, objects)
        np.testing.assert_allclose(out.ap50, ap50, atol=1e-12)
        for kind in KINDS:
            assert out.counts[kind] == sum(each[kind] for each in out.per_class.values())
            gain = _area(found, objects, kind) - ap50
            np.testing.assert_allclose(out.ap50_gain[kind], gain, atol=1e-12, err_msg=f"{seed} {kind}")
            assert not gain < -1e-12
            seen[kind] += out.counts[kind]
            gained[kind] += gain > 0.01
        wrong = sum(out.counts[kind] for kind in KINDS[:5])
        assert out.detections == len(found) == wrong + out.right + out.ignored
        assert out.right == sum(d["kind"] == "right" for d in found)
        for name in ("right", "ignored"):
            seen[name] += getattr(out, name)
    assert min(seen.values()) > 100, seen  # no kind is rare among the cases
    assert min(gained.values()) > 5, gained


def test_ap50_is_that_of_the_evaluator_when_cases_are_random(case):
    for seed in range(50):
        predictions, records = case(seed)
        expected = voc_ap(predictions, records, NAMES, protocol="voc10").ap
        np.testing.assert_allclose(error_kinds(predictions, records, NAMES).ap50, expected, atol=1e-15)


def test_gain_is_the_ap_of_fixed_predictions_when_they_are_fixed_by_hand(record, prediction):
    objects = [[0, 0, 20, 20], [40, 0, 60, 20], [0, 40, 20, 60], [70, 70, 90, 90]]
    records = [record("a", objects, [0, 0, 1, 1])]
    found = {
        "a": prediction(
            [
                objects[0],
                [0, 0, 20, 18],
                [40, 0, 60, 8],
                objects[2],
                [0, 40, 20, 56],
                [28, 75, 36, 83],
                [70, 70, 90, 76],
            ],
            [0.9, 0.8, 0.75, 0.7, 0.65, 0.6, 0.3],
            [0, 0, 0, 0, 2, 1, 0],
        )
    }
    out = error_kinds(found, records, NAMES)
    # In turn: right, duplicate, box (IoU 0.4), class, class, background, both (IoU 0.3 with the dog that is missed).
    assert out.counts == {"class": 2, "box": 1, "both": 1, "duplicate": 1, "background": 1, "missed": 1}
    assert out.right == 1
    assert out.ap50 == pytest.approx((1 / 2 + 0) / 2)
    cats = prediction([objects[0], [0, 0, 20, 18], objects[1], objects[2]], [0.9, 0.8, 0.75, 0.7], [0] * 4)
    boxes = voc_ap({"a": cats}, records, NAMES, protocol="voc10").per_class["cat"]
    assert out.ap50_gain["box"] == pytest.approx((boxes - 1 / 2) / 2) == pytest.approx(1 / 6)
    # The dog at 0.7 stays, the cow at 0.65 goes; one of two dogs is found first.
    assert out.ap50_gain["class"] == pytest.approx((1 / 2) / 2)
    assert [out.ap50_gain[kind] for kind in ("duplicate", "background", "both")] == [0, 0, 0]
    # Dogs: one sought, none found by its own class.
    assert out.ap50_gain["missed"] == 0


@pytest.mark.parametrize(
    ("box", "kind"),
    [
        ([0, 0, 10, 5], "right"),  # IoU 0.5
        ([0, 0, 10, 4.9], "box"),
        ([0, 0, 10, 1], "box"),  # IoU 0.1
        ([0, 0, 10, 0.9], "background"),
    ],
)
def test_thresholds_belong_to_the_better_kind_when_reached_exactly(record, prediction, box, kind):
    out = error_kinds({"a": prediction([box], [0.9], [0])}, [record("a", [[0, 0, 10, 10]], [0])], NAMES)
    assert out.right if kind == "right" else out.counts[kind] == 1
    other = {"right": "class", "box": "both"}.get(kind, kind)
    out = error_kinds({"a": prediction([box], [0.9], [1])}, [record("a", [[0, 0, 10, 10]], [0])], NAMES)
    assert out.counts[other] == 1


def test_difficult_object_excuses_its_own_class_alone_when_overlapped(record, prediction):
    records = [record("a", [[0, 0, 10, 10]], [0], difficult=[True])]
    for label, box, ignored in ((0, [0, 0, 10, 9], 1), (1, [0, 0, 10, 9], 0), (0, [0, 0, 10, 4], 0)):
        out = error_kinds({"a": prediction([box], [0.9], [label])}, records, NAMES)
        assert out.ignored == ignored
        assert out.counts["background"] == 1 - ignored
        assert out.counts["missed"] == out.objects == 0
        assert math.isnan(out.ap50)


def test_score_threshold_leaves_detections_out_when_they_score_less(case):
    predictions, records = case(7, images=12)
    kept = {name: one.filter(0.4) for name, one in predictions.items()}
    out = error_kinds(predictions, records, NAMES, score_threshold=0.4)
    assert out == error_kinds(kept, records, NAMES)
    assert out.detections < error_kinds(predictions, records, NAMES).detections
    with pytest.raises(UserError, match=r"score_threshold is nan.*0\.3"):
        error_kinds(predictions, records, NAMES, score_threshold=math.nan)


def test_all_objects_are_missed_when_nothing_was_detected(record, prediction, caplog):
    records = [record("a", [[0, 0, 10, 10], [20, 0, 30, 10]], [0, 1], difficult=[False, True])]
    out = error_kinds({"a": prediction([], [], [])}, records, NAMES)
    assert out.counts == {**dict.fromkeys(KINDS, 0), "missed": 1}
    assert out.ap50 == 0
    assert math.isnan(out.ap50_gain["missed"])  # nothing would be left to find
    assert "nothing was detected in any of 1 images" in caplog.text


def test_errors_of_all_scores_are_those_of_the_single_call(case):
    predictions, records = case(3, images=20)
    out = error_kinds(predictions, records, NAMES)
    assert evaluate_detections(predictions, records, NAMES).errors == out
