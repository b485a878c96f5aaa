"""COCO's average precision against pycocotools driven by its own summary, and difficult objects by hand."""

import contextlib
import dataclasses
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from kerassl.metrics import CocoMatches, coco_ap, coco_ap_of_images


def _pycocotools(predictions, records, classes):
    """As its manual has it: a ground truth, `loadRes`, `summarize`."""
    ids = {record.image_id: 100 + number for number, record in enumerate(records)}
    truth, found = [], []
    for record in records:
        for box, label in zip(record.boxes.tolist(), record.classes.tolist()):
            x0, y0, x1, y1 = box
            truth.append(
                {
                    "id": len(truth) + 1,
                    "image_id": ids[record.image_id],
                    "category_id": label + 7,
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "area": (x1 - x0) * (y1 - y0),
                    "iscrowd": 0,
                }
            )
        detections = predictions[record.image_id]
        for box, score, label in zip(
            *(values.tolist() for values in (detections.boxes, detections.scores, detections.classes))
        ):
            x0, y0, x1, y1 = box
            found.append(
                {
                    "image_id": ids[record.image_id],
                    "category_id": label + 7,
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "score": score,
                }
            )
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "info": {},
            "images": [{"id": number} for number in ids.values()],
            "categories": [{"id": 7 + label} for label in range(len(classes))],
            "annotations": truth,
        }
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(found), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    per_class = evaluation.eval["precision"][..., 0, -1].mean(axis=(0, 1))  # areas "all", 100 detections
    return evaluation.stats[[0, 1, 2, 8]], np.where(per_class > -1, per_class, np.nan)


@pytest.mark.current_stack
@pytest.mark.parametrize("seed", range(20))
def test_scores_equal_pycocotools_own_summary_when_cases_are_random(case, seed):
    predictions, records = case(seed, images=6, detections=12, step=2, difficult=0)
    names = ["cat", "dog", "cow"]
    out = coco_ap(predictions, records, names)
    expected, per_class = _pycocotools(predictions, records, names)
    np.testing.assert_allclose([out.ap, out.ap50, out.ap75, out.ar100], expected, atol=1e-12)
    np.testing.assert_allclose(list(out.per_class.values()), per_class, atol=1e-12)
    assert 0 < out.ap < 1


@pytest.mark.current_stack
def test_difficult_object_is_neither_right_nor_wrong_when_found_or_missed(record, prediction):
    boxes = [[0, 0, 10, 10], [20, 0, 30, 10]]
    records = [record("a", boxes, [0, 0], difficult=[False, True])]
    for found in ([boxes[1], boxes[0]], [boxes[0]]):
        out = coco_ap({"a": prediction(found, [0.9, 0.8][: len(found)], [0] * len(found))}, records, ["cat"])
        assert out.ap == pytest.approx(1)
        assert out.ar100 == pytest.approx(1)
    # Not as a crowd: a small box inside the difficult one is wrong, though wholly covered.
    inside = {"a": prediction([[20, 0, 24, 4], boxes[0]], [0.9, 0.8], [0, 0])}
    assert coco_ap(inside, records, ["cat"]).ap == pytest.approx(0.5)


@pytest.mark.current_stack
def test_first_class_counts_like_every_other_when_it_alone_is_found(record, prediction):
    records = [record("a", [[0, 0, 10, 10], [20, 0, 30, 10]], [0, 1])]
    out = coco_ap({"a": prediction([[0, 0, 10, 10]], [0.9], [0])}, records, ["cat", "dog", "cow"])
    assert out.ap == pytest.approx(0.5)
    assert out.per_class["cat"] == pytest.approx(1)
    assert out.per_class["dog"] == 0
    assert np.isnan(out.per_class["cow"])


@pytest.mark.current_stack
def test_score_is_zero_when_nothing_was_detected(record, prediction, capsys):
    out = coco_ap({"a": prediction([], [], [])}, [record("a", [[0, 0, 10, 10]], [0])], ["cat"])
    assert out.ap == 0
    assert out.ar100 == 0
    assert capsys.readouterr().out == ""


@pytest.mark.current_stack
def test_score_is_nan_when_there_is_nothing_to_find(record, prediction):
    out = coco_ap({"a": prediction([[0, 0, 9, 9]], [0.5], [0])}, [record("a", [], [])], ["cat"])
    assert np.isnan(out.ap)


@pytest.mark.current_stack
def test_figures_of_images_are_those_of_their_copies_when_images_are_drawn_twice(case, prediction, tmp_path):
    predictions, records = case(3, images=12, detections=12, step=2)
    classes, rng = ["cat", "dog", "cow"], np.random.default_rng(1)
    predictions = {  # whose scores do not tie: those of copies would in another order
        name: prediction(one.boxes, rng.uniform(size=len(one.boxes)), one.classes) for name, one in predictions.items()
    }
    figures = coco_ap_of_images(predictions, records, classes)
    figures.save(tmp_path / "matches.npz")
    figures = CocoMatches.load(tmp_path / "matches.npz")
    for rows in (np.arange(len(records)), *(rng.integers(0, len(records), len(records)) for _ in range(3))):
        copies = [dataclasses.replace(records[row], image_id=str(place)) for place, row in enumerate(rows)]
        found = {str(place): predictions[records[row].image_id] for place, row in enumerate(rows)}
        expected = coco_ap(found, copies, classes)
        values = figures(rows)
        assert [values["coco_ap"], values["coco_ap50"], values["coco_ap75"]] == pytest.approx(
            [expected.ap, expected.ap50, expected.ap75], abs=1e-12
        )
