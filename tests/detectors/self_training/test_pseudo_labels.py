"""Detections as weighted labels."""

import numpy as np
import pytest

from kerassl import UserError
from kerassl.detectors.self_training.pseudo_labels import PseudoWeights, pseudo_label
from kerassl.detectors.self_training.thresholds import Thresholds, fixed
from kerassl.types import Detections

pytestmark = pytest.mark.current_stack

FOUND = Detections(np.arange(16.0).reshape(4, 4), np.array([0.9, 0.6, 0.4, 0.2]), np.array([0, 1, 0, 1]), "ab")
AGREEMENT = np.array([0.9, 0.79, 0.8, 0.0])


def rows(record):
    weights = record.weights
    return np.column_stack([record.classes, weights.weight, weights.box_weight, weights.ignore]).tolist()


def test_boxes_are_plain_labels_when_nothing_else_is_given():
    record = pseudo_label("a.jpg", 30, 40, FOUND, fixed(0.4, "ab"))
    assert (record.image_id, record.path, record.height, record.width) == ("a.jpg", "a.jpg", 30, 40)
    np.testing.assert_array_equal(record.boxes, FOUND.boxes[:3])
    assert rows(record) == [[0, 1, 1, 0], [1, 1, 1, 0], [0, 1, 1, 0]]
    assert record.weights.background == 1
    assert len(pseudo_label("a.jpg", 30, 40, FOUND, fixed(1, "ab")).boxes) == 0


def test_weights_depend_on_score_agreement_and_labels_when_asked():
    weights = PseudoWeights(by_score=True, least_agreement=0.8, background=0.5, empty_background=0.05)
    thresholds = Thresholds(("a", "b"), (0.5, 0.5), (0.3, 0.5))
    record = pseudo_label("a.jpg", 30, 40, FOUND, thresholds, weights, agreement=AGREEMENT)
    np.testing.assert_allclose(rows(record), [[0, 0.9, 1, 0], [1, 0.6, 0, 0], [0, 0.4, 1, 1]], rtol=1e-6)
    assert record.weights.background == 0.5
    low = Thresholds(("a", "b"), (0.95, 0.95), (0.3, 0.95))  # ignored regions alone are no labels
    record = pseudo_label("a.jpg", 30, 40, FOUND, low, weights, agreement=AGREEMENT)
    assert record.weights.ignore.tolist() == [True, True]
    assert record.weights.background == 0.05
    with pytest.raises(UserError, match="also mirrored"):
        pseudo_label("a.jpg", 30, 40, FOUND, thresholds, weights)
    with pytest.raises(UserError, match="background -1"):
        PseudoWeights(background=-1)
