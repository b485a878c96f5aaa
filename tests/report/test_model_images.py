"""Which images a page shows of two detectors."""

import numpy as np
import pytest

from kerassl.datasets import Record
from kerassl.metrics import save_predictions
from kerassl.report.model_images import _kept, _objects, _sheet, _spread
from kerassl.types import Detections


def labeled(image_id):
    return Record(image_id, "", 10, 10, np.array([[0.0, 0.0, 10.0, 10.0]]), np.array([0]), np.array([False]))


def found(overlaps, name="car", score=0.9):
    """Detections by image whose IoU with the object is as given."""
    boxes = {str(number): [[0.0, 0.0, 10.0, 10.0 * share]] for number, share in enumerate(overlaps)}
    return {key: Detections(box, [score], [1 if name == "car" else 0], ("face", "car")) for key, box in boxes.items()}


@pytest.mark.parametrize(("count", "expected"), [(5, "31402"), (1, "4"), (3, "342"), (9, "31402")])
def test_images_are_spread_from_the_greatest_loss_to_the_greatest_gain(count, expected):
    records = [labeled(str(number)) for number in range(5)]
    before, after = found([0.5, 0.6, 0.1, 0.9, 0.7]), found([0.8, 0.5, 0.9, 0.2, 0.8])
    shown = _spread(
        _objects([labeled("broken"), *records], [before, None, after]), [before, after], ["car", "face"], count
    )
    assert "".join(record.image_id for record in shown) == expected


@pytest.mark.parametrize("score", [0.2, 0.3])
def test_text_is_another_when_no_detection_is_drawn(score, tmp_path):
    shown = [(labeled("0"), np.zeros([10, 10, 3], np.uint8))]
    texts = [
        _sheet({"detector": found([0.5], score=each)}, "detector", shown, "The first", tmp_path / str(each))["text"]
        for each in (score, 0.9)
    ]
    assert (texts[0] == texts[1]) == (score >= 0.3)
    assert (tmp_path / "0.9" / "images" / "detectors.png").is_file()


def test_detections_of_another_class_or_with_low_scores_find_nothing():
    records = [labeled("0"), labeled("1")]
    for bad in (found([1.0, 1.0], name="face"), found([1.0, 1.0], score=0.2)):
        after = bad | {"1": found([1.0, 1.0])["1"]}
        assert [one.image_id for one in _spread(records, [found([0.0, 0.0]), after], ["car", "face"], 2)] == ["0", "1"]


def test_detections_beside_a_model_are_taken_when_it_is_of_the_run(tmp_path, monkeypatch):
    for name in ("run", "teacher"):
        (tmp_path / name).mkdir()
        save_predictions(tmp_path / name / "detector_predictions.json", found([0.5]))
    monkeypatch.chdir(tmp_path)
    models = [tmp_path / name / "detector.keras" for name in ("run", "teacher", "other")]
    assert [_kept(model, "detector", tmp_path / "run") is not None for model in models] == [True, False, False]
    assert _kept(models[0].relative_to(tmp_path), "detector", tmp_path / "run") is not None
