"""All scores together, what is refused, and detections in a file."""

import dataclasses
import math

import numpy as np
import pytest

from kerassl import UserError
from kerassl.metrics import coco_ap, evaluate_detections, save_predictions, voc_ap
from kerassl.types import Detections

pytestmark = pytest.mark.current_stack  # NumPy alone: both stacks would find out the same

NAMES = ["cat", "dog", "cow"]


def test_all_scores_are_those_of_the_single_protocols_when_asked_together(case):
    predictions, records = case(3, images=20)
    out = evaluate_detections(predictions, records, NAMES).to_dict()
    assert out["voc07_ap50"] == voc_ap(predictions, records, NAMES).ap
    assert out["voc10_ap50"] == voc_ap(predictions, records, NAMES, protocol="voc10").ap
    assert out["per_class_voc07"] == voc_ap(predictions, records, NAMES).per_class
    assert out["per_class_voc10"] == voc_ap(predictions, records, NAMES, protocol="voc10").per_class
    coco = coco_ap(predictions, records, NAMES).to_dict()
    for name in ("ap", "ap50", "ap75", "ar100"):
        assert out[f"coco_{name}"] == coco[name]
    assert out["per_class_coco"] == coco["per_class"]


def test_best_detection_answers_for_the_largest_object_when_images_hold_several(record, prediction):
    records = [
        record("two", [[0, 0, 10, 10], [20, 20, 60, 60]], [0, 1]),
        record("difficult", [[0, 0, 90, 90], [0, 0, 10, 10]], [0, 1], difficult=[True, False]),
        record("nothing found", [[0, 0, 10, 10]], [0]),
        record("only difficult", [[0, 0, 10, 10]], [0], difficult=[True]),  # left out
        record("empty", [], []),  # left out
    ]
    predictions = {
        "two": prediction([[0, 0, 10, 10], [20, 20, 60, 50]], [0.4, 0.6], [0, 1]),  # IoU 0.75, right class
        "difficult": prediction([[0, 0, 10, 6]], [0.1], [0]),  # IoU 0.6, wrong class
        "nothing found": prediction([], [], []),
        "only difficult": prediction([[0, 0, 10, 10]], [0.9], [0]),
        "empty": prediction([], [], []),
    }
    out = evaluate_detections(predictions, records, NAMES).to_dict()
    assert out["mean_iou"] == pytest.approx((0.75 + 0.6 + 0) / 3)
    assert out["loc_acc_50"] == pytest.approx(2 / 3)
    assert out["loc_acc_70"] == pytest.approx(1 / 3)
    assert out["top1"] == pytest.approx(1 / 3)
    # By the class of the largest object: two images of a dog, and the cat that nothing found.
    assert out["per_class_mean_iou"] == pytest.approx({"cat": 0, "dog": (0.75 + 0.6) / 2, "cow": math.nan}, nan_ok=True)
    assert out["per_class_loc_acc_50"] == pytest.approx({"cat": 0, "dog": 1, "cow": math.nan}, nan_ok=True)
    assert out["per_class_loc_acc_70"] == pytest.approx({"cat": 0, "dog": 0.5, "cow": math.nan}, nan_ok=True)
    assert out["per_class_top1"] == pytest.approx({"cat": 0, "dog": 0.5, "cow": math.nan}, nan_ok=True)
    assert out["per_class_objects"] == {"cat": 2, "dog": 2, "cow": 0}


def test_top3_counts_distinct_classes_by_their_best_score_when_a_class_repeats(record, prediction):
    box = [0, 0, 10, 10]
    images = {  # classes by falling score of an image whose object is a dog (1)
        "first": ([1, 0], True),
        "third of three": ([0, 0, 2, 2, 1], True),
        "fourth": ([0, 2, 3, 1], False),
        "none": ([0, 2], False),
        "nothing": ([], False),
    }
    records = [record(name, [box], [1]) for name in images]
    predictions = {
        name: prediction([box] * len(labels), np.linspace(0.9, 0.1, len(labels)), labels)
        for name, (labels, _) in images.items()
    }
    out = evaluate_detections(predictions, records, [*NAMES, "sheep"]).to_dict()
    assert out["top1"] == 1 / 5
    assert out["top3"] == 2 / 5
    assert out["per_class_top3"]["dog"] == 2 / 5
    reversed_order = {
        name: prediction(one.boxes[::-1], one.scores[::-1], one.classes[::-1]) for name, one in predictions.items()
    }
    assert evaluate_detections(reversed_order, records, [*NAMES, "sheep"]).top3 == 2 / 5


def test_scores_are_one_when_the_ground_truth_is_predicted(case, record):
    _, records = case(5, images=10, difficult=0)
    # On a coarse grid two objects of a class may share a box: the devkit then counts a duplicate.
    unique = [np.unique(r.boxes, axis=0, return_index=True)[1] for r in records]
    records = [record(r.image_id, r.boxes[u], r.classes[u]) for r, u in zip(records, unique)]
    predictions = {
        r.image_id: Detections(r.boxes, 0.5 + np.prod(r.boxes[:, 2:] - r.boxes[:, :2], axis=1) / 1e4, r.classes)
        for r in records
    }
    out = evaluate_detections(predictions, records, NAMES).to_dict()
    errors, objects = out.pop("errors"), out.pop("per_class_objects")
    assert sum(objects.values()) == errors["right"] == errors["detections"] > 10
    assert not any(errors["counts"].values())
    for name, value in out.items():
        assert value == pytest.approx(dict.fromkeys(NAMES, 1.0) if name.startswith("per_class") else 1.0), name


def test_scores_are_nan_when_no_image_holds_an_object(record, prediction):
    out = evaluate_detections({"a": prediction([], [], [])}, [record("a", [], [])], NAMES).to_dict()
    figures = [value for value in out.values() if not isinstance(value, dict)]
    figures += [v for name, each in out.items() if name.startswith("per_class_") for v in each.values() if v != 0]
    assert len(figures) == 11 + 3 * 8
    assert all(math.isnan(value) for value in figures)


def _good(record, prediction):
    records = [record("a", [[0, 0, 10, 10]], [0]), record("b", [], [])]
    return {"a": prediction([[0, 0, 9, 9]], [0.5], [0]), "b": prediction([], [], [])}, records


def spoilt(predictions, **changes):
    predictions["a"] = dataclasses.replace(predictions["a"], **changes)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda p, r: r.clear(), "no record"),
        (lambda p, r: p.pop("b"), "1 of 2 images have no predictions, 'b' first.*empty arrays"),
        (lambda p, r: p.update(z=p["b"]), "1 of 3 predicted images are not in the data set, 'z' first"),
        (lambda p, r: r.append(r[0]), "'a' is twice"),
        (
            lambda p, r: p.update(a=dataclasses.replace(p["a"], classes=np.array([3]))),
            "'a' has class 3, but there are 3 class names",
        ),
        (
            lambda p, r: p.update(a=dataclasses.replace(p["a"], boxes=np.array([[5, 0, 4, 9]]))),
            "'a' has the inverted box",
        ),
        (
            lambda p, r: p.update(a=dataclasses.replace(p["a"], boxes=np.array([[5, 0, np.nan, 9]]))),
            "'a'.*not a finite number",
        ),
        (lambda p, r: p.update(a=None), "detections of image 'a' are a NoneType"),
        (lambda p, r: spoilt(p, classes=np.array([0.5])), "not a whole number"),
    ],
)
def test_predictions_are_refused_in_one_line_when_invalid(record, prediction, spoil, message):
    predictions, records = _good(record, prediction)
    spoil(predictions, records)
    with pytest.raises(UserError, match=message) as caught:
        evaluate_detections(predictions, records, NAMES)
    assert "\n" not in str(caught.value)


def test_relative_boxes_are_refused_when_images_are_larger(record, prediction):
    records = [record("a", [[0, 0, 50, 50]], [0]), record("b", [], [])]
    found = {"a": prediction([[0, 0, 0.5, 0.5], [0.2, 0, 1.01, 1]], [0.9, 0.1], [0, 0]), "b": prediction([], [], [])}
    with pytest.raises(UserError, match=r"all 2 predicted boxes end at 1\.01 .* up to 100 pixels.*multiply"):
        evaluate_detections(found, records, NAMES)
    assert evaluate_detections(found, records, NAMES, known_pixels=True).voc07_ap50 == 0
    found["a"].boxes[1] = [0, 0, 50, 50]
    assert evaluate_detections(found, records, NAMES).voc07_ap50 > 0


def test_warning_is_logged_when_nothing_was_detected_or_boxes_are_outside(record, prediction, caplog):
    records = [record("a", [[0, 0, 50, 50]], [0])]
    assert evaluate_detections({"a": prediction([], [], [])}, records, NAMES).coco_ap == 0
    assert [line.message for line in caplog.records] == [
        "nothing was detected in any of 1 images, and every score is 0; was a score threshold too high?"
    ]
    caplog.clear()
    over = {"a": prediction([[0, 0, 50, 50], [-5, -5, 101, 101]], [0.9, 0.1], [0, 0])}
    assert evaluate_detections(over, records, NAMES).voc07_ap50 == pytest.approx(1)
    assert not caplog.records
    over["a"].boxes[1] = [100, 20, 120, 40]
    evaluate_detections(over, records, NAMES)
    assert [line.message[:56] for line in caplog.records] == [
        "1 of 2 predicted boxes are entirely outside their images"
    ]


def test_boxes_keep_what_reaches_out_of_the_image_when_scored(record, prediction):
    # IoU 60 x 50 over 100 x 50: clipped to the image it would be 1.
    records = [record("a", [[40, 0, 100, 50]], [0])]
    out = evaluate_detections({"a": prediction([[40, 0, 140, 50]], [0.9], [0])}, records, NAMES).to_dict()
    assert out["mean_iou"] == pytest.approx(0.6)


def test_record_is_refused_when_its_class_is_beyond_the_names(record, prediction):
    with pytest.raises(UserError, match="record of image 'a' has class 4"):
        evaluate_detections({"a": prediction([], [], [])}, [record("a", [[0, 0, 1, 1]], [4])], NAMES)


def test_older_file_stays_whole_when_saving_fails(tmp_path, prediction):
    path = tmp_path / "predictions.json"
    save_predictions(path, {"a": prediction([], [], [])})
    before = path.read_bytes()
    with pytest.raises(UserError, match="'b'"):
        save_predictions(path, {"b": prediction([[1, 1, 0, 0]], [0.5], [0])}, overwrite=True)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
