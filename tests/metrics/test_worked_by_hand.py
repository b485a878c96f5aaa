"""The three cases that docs/guides/evaluation.md works by hand."""

import pytest

from kerassl.metrics import evaluate_detections


def test_five_detections_of_four_objects(record, prediction):
    objects = [[0, 0, 20, 20], [40, 0, 60, 20], [0, 40, 20, 60], [70, 70, 90, 90]]
    boxes = [objects[0], [60, 30, 80, 50], [0, 0, 20, 16], objects[1], [0, 40, 20, 46]]
    found = {"one": prediction(boxes, [0.9, 0.8, 0.7, 0.6, 0.5], [0] * 5)}
    out = evaluate_detections(found, [record("one", objects, [0] * 4)], ["cat"]).to_dict()
    assert out["voc07_ap50"] == pytest.approx((3 * 1 + 3 * 1 / 2) / 11)
    assert out["voc10_ap50"] == pytest.approx(1 / 4 * 1 + 1 / 4 * 1 / 2)
    assert out["errors"]["counts"] == {
        "class": 0, "box": 1, "both": 0, "duplicate": 1, "background": 1, "missed": 1
    }  # fmt: skip
    gain = out["errors"]["ap50_gain"]
    assert gain["box"] == pytest.approx((1 + 3 / 5 + 3 / 5) / 4 - 3 / 8)
    assert gain["duplicate"] == pytest.approx((1 + 2 / 3) / 4 - 3 / 8)
    assert gain["background"] == pytest.approx((1 + 2 / 3) / 4 - 3 / 8)
    assert gain["missed"] == pytest.approx((1 + 1 / 2) / 3 - 3 / 8)


def test_difficult_object_that_is_found_twice(record, prediction):
    objects = [[0, 0, 10, 10], [20, 0, 30, 10]]
    records = [record("one", objects, [0, 0], difficult=[True, False])]
    found = {"one": prediction([objects[0], [0, 0, 10, 9], [20, 0, 30, 5]], [0.9, 0.8, 0.7], [0] * 3)}
    out = evaluate_detections(found, records, ["cat"]).to_dict()
    assert out["voc07_ap50"] == out["voc10_ap50"] == pytest.approx(1)
    assert out["coco_ap50"] == pytest.approx(1 / 2)
    assert out["coco_ap"] == pytest.approx((1 / 2 + 9 * 0) / 10)
    assert out["errors"]["ignored"] == 2
    assert out["mean_iou"] == 0  # the best detection is on the difficult object, the answer is sought on the other


@pytest.mark.parametrize("turned", [False, True])
def test_tie_and_a_wrong_class(record, prediction, turned):
    records = [
        record("a", [[0, 0, 40, 40]], [1]),
        record("b", [[0, 0, 40, 40], [50, 50, 70, 70]], [0, 0]),
    ]
    found = {
        "a": prediction([[0, 0, 40, 40]], [0.6], [0]),
        "b": prediction([[0, 0, 40, 40], [50, 50, 70, 70]], [0.6, 0.4], [0, 0]),
    }
    out = evaluate_detections(found, records[::-1] if turned else records, ["cat", "dog"]).to_dict()
    cats = [out[f"per_class_{name}"]["cat"] for name in ("voc07", "voc10")]
    assert cats == pytest.approx([(6 * 1 + 5 * 2 / 3) / 11, 1 / 2 + 1 / 2 * 2 / 3] if turned else [2 / 3, 2 / 3])
    assert out["per_class_voc10"]["dog"] == 0
    assert out["voc10_ap50"] == pytest.approx(cats[1] / 2)
    assert out["errors"]["counts"]["class"] == 1
    assert out["errors"]["counts"]["missed"] == 0
    assert out["errors"]["ap50_gain"]["class"] == pytest.approx(1 - cats[1] / 2)
    assert (out["mean_iou"], out["top1"], out["top3"]) == (1, 0.5, 0.5)
