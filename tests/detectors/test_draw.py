import dataclasses

import numpy as np
import pytest
from PIL import Image

from kerassl import detectors
from kerassl._errors import UserError

BOXES = np.array([[100, 100, 300, 260], [350, 40, 460, 200]], "float32")
FOUND = {"boxes": BOXES, "scores": np.array([0.9, 0.4], "float32"), "classes": np.array([0, 1], "int32")}


@dataclasses.dataclass
class Truth:
    boxes: np.ndarray
    classes: np.ndarray


def changed(picture):
    """Columns and rows in which a picture of nothing but 128 has been drawn on."""
    drawn = np.abs(picture.astype(int) - 128).max(-1) > 20
    return np.flatnonzero(drawn.any(0)), np.flatnonzero(drawn.any(1))


def test_frames_stand_where_the_boxes_are():
    image = np.full((300, 500, 3), 128, "uint8")
    one = {name: values[:1] for name, values in FOUND.items()}
    picture = detectors.draw(image, one, ["car", "dog"])
    assert picture.shape == (300, 500, 3)
    assert picture.dtype == np.uint8
    columns, rows = changed(picture)
    assert abs(columns[0] - 100) <= 3
    assert abs(columns[-1] - 300) <= 3
    assert abs(rows[-1] - 260) <= 3
    assert rows[0] < 100  # the label stands above
    assert np.abs(picture[150:200, 150:250].astype(int) - 128).max() <= 2  # what is inside can be seen


def test_small_pictures_are_enlarged_so_that_labels_can_be_read():
    picture = detectors.draw(np.full((30, 50, 3), 128, "uint8"), {**FOUND, "boxes": BOXES / 10}, ["car", "dog"])
    assert picture.shape == (288, 480, 3)
    columns, _ = changed(picture)
    assert abs(columns[0] - 96) <= 4


def test_less_sure_detections_are_left_out():
    image = np.full((300, 500, 3), 128, "uint8")
    columns, _ = changed(detectors.draw(image, FOUND, ["car", "dog"], score_threshold=0.5))
    assert columns[-1] < 320
    columns, _ = changed(detectors.draw(image, FOUND, ["car", "dog"], score_threshold=0.3))
    assert columns[-1] > 450


def test_truth_is_drawn_when_it_is_a_dict_or_a_record(tmp_path):
    image = np.full((300, 500, 3), 128, "uint8")
    truth = {"boxes": BOXES[1:], "classes": [1]}
    picture = detectors.draw(image, None, ["car", "dog"], truth=truth)
    columns, rows = changed(picture)
    assert abs(columns[0] - 350) <= 3
    assert abs(rows[0] - 40) <= 3
    Image.fromarray(image).save(tmp_path / "a.png")
    record = Truth(BOXES[1:], np.array([1]))
    np.testing.assert_array_equal(detectors.draw(tmp_path / "a.png", None, ["car", "dog"], truth=record), picture)


def test_one_line_tells_when_a_class_has_no_name():
    with pytest.raises(UserError, match="class 1, but there are 1"):
        detectors.draw(np.zeros((300, 500, 3)), FOUND, ["car"])
