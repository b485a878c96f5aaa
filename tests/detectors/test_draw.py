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
    crowd: np.ndarray


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
    record = Truth(BOXES, np.array([0, 1]), np.array([True, False]))  # crowds are not drawn
    np.testing.assert_array_equal(detectors.draw(tmp_path / "a.png", None, ["car", "dog"], truth=record), picture)


def test_one_line_tells_when_a_class_has_no_name():
    with pytest.raises(UserError, match="class 1, but there are 1"):
        detectors.draw(np.zeros((300, 500, 3)), FOUND, ["car"])


@pytest.mark.parametrize(("height", "width"), [(3000, 1), (600, 8), (1, 3000), (1, 1), (5000, 400)])
def test_drawing_has_a_bounded_size_when_the_image_is_thin_or_large(height, width):
    found = {"boxes": np.array([[0, 0, width, height]]), "scores": np.ones(1), "classes": np.zeros(1, int)}
    for wanted in (None, 300):
        drawn = detectors.draw(np.full((height, width, 3), 120, np.uint8), found, ["car"], width=wanted).shape
        assert max(drawn) <= 4096
        assert min(drawn[:2]) >= 1
        if max(height, width) == 600:
            assert drawn[:2] == (4096, 55)  # the shape stays


def test_name_is_drawn_on_one_line_of_bounded_length():
    image = np.full((300, 500, 3), 128, np.uint8)
    box = {"boxes": np.array([[100, 150, 300, 260]]), "scores": np.ones(1), "classes": np.zeros(1, int)}
    plain = detectors.draw(image, box, ["abcd"])
    for name in ("a\nb", "\udce9", "$_$", "x" * 10_000):
        assert abs(changed(detectors.draw(image, box, [name]))[1][0] - changed(plain)[1][0]) <= 4


def test_boxes_far_outside_are_drawn_as_far_as_they_are_seen():
    image = np.full((30, 50, 3), 128, np.uint8)
    far = {"boxes": np.array([[-1e12, -1e9, 1e12, np.inf], [np.nan] * 4]), "scores": np.ones(2), "classes": [0, 0]}
    assert detectors.draw(image, far, ["car"]).shape == (288, 480, 3)
