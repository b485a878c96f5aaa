import numpy as np
import pytest

from kerassl.datasets import Record
from studies.pseudo_boxes import above, middle, score

pytestmark = pytest.mark.current_stack


def record(boxes, difficult):
    boxes = np.array(boxes, np.float32)
    return Record("a", "a.jpg", 100, 200, boxes, np.zeros(len(boxes), np.int32), np.array(difficult))


def test_scores_equal_those_that_are_worked_by_hand():
    records = [
        record([[0, 0, 10, 10], [50, 50, 60, 60], [80, 80, 90, 90]], [False, False, True]),
        record([[0, 0, 20, 20]], [False]),
        record([[0, 0, 10, 10]], [False]),
    ]
    # A box on one of two objects; one on a quarter of its object; none.
    found = score([np.array([[0, 0, 10, 8]]), np.array([[0, 0, 10, 10]]), np.zeros([0, 4])], records)
    assert found == pytest.approx({"images": 2 / 3, "iou": (0.8 + 0.25) / 2, "right": 0.5, "recall": 0.25})
    np.testing.assert_allclose(middle(records, 0.5), [[50, 25, 150, 75]] * 3)


def test_gain_is_paired_over_the_images_with_a_box():
    records = [record([[0, 0, 10, 10]], [False])] * 3
    others = [np.array([0, 0, 10, 5])] * 3  # 0.5 of the object each
    found = above([np.array([[0, 0, 10, 8]]), np.zeros([0, 4]), np.array([[0, 0, 10, 4]])], others, records)
    assert found == pytest.approx((0.1, 0.2))  # 0.3 and -0.1
    assert np.isnan(above([np.zeros([0, 4])] * 3, others, records)).all()
