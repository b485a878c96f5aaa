"""All scores together, what is refused, and detections in a file."""

import json
import math

import numpy as np
import pytest

from kerassl import UserError
from kerassl.metrics import coco_ap, evaluate_detections, load_predictions, save_predictions, voc_ap

NAMES = ["cat", "dog", "cow"]


def test_all_scores_are_those_of_the_single_protocols_when_asked_together(case):
    predictions, records = case(3, images=20)
    out = evaluate_detections(predictions, records, NAMES)
    assert out["voc07_ap50"] == voc_ap(predictions, records, NAMES)["ap"]
    assert out["voc10_ap50"] == voc_ap(predictions, records, NAMES, protocol="voc10")["ap"]
    assert out["per_class_voc07"] == voc_ap(predictions, records, NAMES)["per_class"]
    coco = coco_ap(predictions, records, NAMES)
    for name in ("ap", "ap50", "ap75", "ar100"):
        assert out[f"coco_{name}"] == coco[name]


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
    out = evaluate_detections(predictions, records, NAMES)
    assert out["mean_iou"] == pytest.approx((0.75 + 0.6 + 0) / 3)
    assert out["loc_acc_50"] == pytest.approx(2 / 3)
    assert out["loc_acc_70"] == pytest.approx(1 / 3)
    assert out["top1"] == pytest.approx(1 / 3)


def test_scores_are_one_when_the_ground_truth_is_predicted(case, record):
    _, records = case(5, images=10, difficult=0)
    # On a coarse grid two objects of a class may share a box: the devkit then counts a duplicate.
    unique = [np.unique(r.boxes, axis=0, return_index=True)[1] for r in records]
    records = [record(r.image_id, r.boxes[u], r.classes[u]) for r, u in zip(records, unique)]
    predictions = {
        r.image_id: {
            "boxes": r.boxes,
            "scores": 0.5 + np.prod(r.boxes[:, 2:] - r.boxes[:, :2], axis=1) / 1e4,
            "classes": r.classes,
        }
        for r in records
    }
    out = evaluate_detections(predictions, records, NAMES)
    per_class = out.pop("per_class_voc07")
    assert out == pytest.approx(dict.fromkeys(out, 1.0))
    assert per_class == pytest.approx(dict.fromkeys(NAMES, 1.0))


def test_scores_are_nan_when_no_image_holds_an_object(record, prediction):
    out = evaluate_detections({"a": prediction([], [], [])}, [record("a", [], [])], NAMES)
    assert all(math.isnan(value) for name, value in out.items() if name != "per_class_voc07")


def _good(record, prediction):
    records = [record("a", [[0, 0, 10, 10]], [0]), record("b", [], [])]
    return {"a": prediction([[0, 0, 9, 9]], [0.5], [0]), "b": prediction([], [], [])}, records


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda p, r: r.clear(), "no record"),
        (lambda p, r: p.pop("b"), "1 of 2 images have no predictions, 'b' first.*empty arrays"),
        (lambda p, r: p.update(z=p["b"]), "1 of 3 predicted images are not in the data set, 'z' first"),
        (lambda p, r: r.append(r[0]), "'a' stands twice"),
        (lambda p, r: p["a"].update(classes=np.array([3])), "'a' has class 3, but there are 3 class names"),
        (lambda p, r: p["a"].update(boxes=np.array([[5, 0, 4, 9]])), "'a' has the inverted box"),
        (lambda p, r: p["a"].update(boxes=np.array([[5, 0, np.nan, 9]])), "'a'.*not a finite number"),
        (lambda p, r: p["a"].update(scores=np.array([0.1, 0.2])), r"'a' has boxes \(1, 4\), scores \(2,\)"),
        (lambda p, r: p["a"].pop("scores"), "detections of image 'a' cannot be read"),
        (lambda p, r: p.update(a=None), "detections of image 'a' cannot be read"),
        (lambda p, r: p["a"].update(classes=np.array([0.5])), "no whole number"),
    ],
)
def test_mistakes_are_refused_in_one_line_when_predictions_do_not_fit(record, prediction, spoil, message):
    predictions, records = _good(record, prediction)
    spoil(predictions, records)
    with pytest.raises(UserError, match=message) as caught:
        evaluate_detections(predictions, records, NAMES)
    assert "\n" not in str(caught.value)


def test_record_is_refused_when_its_class_is_beyond_the_names(record, prediction):
    with pytest.raises(UserError, match="record of image 'a' has class 4"):
        evaluate_detections({"a": prediction([], [], [])}, [record("a", [[0, 0, 1, 1]], [4])], NAMES)


def test_predictions_come_back_exactly_when_saved(tmp_path, case):
    predictions, records = case(1)
    rng = np.random.default_rng(0)
    for one in predictions.values():
        one["scores"] = rng.uniform(size=len(one["scores"])).astype(np.float32)
    path = tmp_path / "new" / "predictions.json"
    save_predictions(path, predictions)
    again = load_predictions(path)
    assert list(again) == list(predictions)
    for name, one in predictions.items():
        for key, value in one.items():
            np.testing.assert_array_equal(again[name][key], value)
            assert again[name][key].dtype == value.dtype
    assert evaluate_detections(again, records, NAMES)["voc07_ap50"] >= 0


def test_older_file_stays_whole_when_saving_fails(tmp_path, prediction):
    path = tmp_path / "predictions.json"
    save_predictions(path, {"a": prediction([], [], [])})
    before = path.read_bytes()
    with pytest.raises(UserError, match="'b'"):
        save_predictions(path, {"b": prediction([[1, 1, 0, 0]], [0.5], [0])})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no file of predictions"),
        ("{", "is not JSON"),
        ("[]", "does not hold predictions"),
        (json.dumps({"format": "kerassl predictions 1", "images": {"a": {}}}), "'a' in .*predictions.json cannot be"),
    ],
)
def test_file_is_refused_in_one_line_when_it_holds_no_predictions(tmp_path, content, message):
    path = tmp_path / "predictions.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=message):
        load_predictions(path)
