"""Detections as weighted labels."""

import numpy as np
import pytest

from kerassl import UserError
from kerassl.detectors.self_training.pseudo_labels import PseudoWeights, choose
from kerassl.detectors.self_training.thresholds import Thresholds, fixed
from kerassl.types import Detections

pytestmark = pytest.mark.current_stack

FOUND = Detections(np.arange(16.0).reshape(4, 4), np.array([0.9, 0.6, 0.4, 0.2]), np.array([0, 1, 0, 1]), "ab")
AGREEMENT = np.array([0.9, 0.79, 0.8, 0.0])


def rows(chosen):
    weights = chosen.weights
    return np.column_stack([FOUND.classes[chosen.places], weights.weight, weights.box_weight, weights.ignore]).tolist()


def test_detections_are_plain_labels_when_nothing_else_is_given():
    chosen = choose(FOUND.scores, FOUND.classes, fixed(0.4, "ab"))
    assert chosen.places.tolist() == [0, 1, 2]
    assert rows(chosen) == [[0, 1, 1, 0], [1, 1, 1, 0], [0, 1, 1, 0]]
    assert chosen.weights.background == 1
    assert not len(choose(FOUND.scores, FOUND.classes, fixed(1, "ab")).places)


def test_weights_depend_on_score_agreement_and_labels_when_asked():
    weights = PseudoWeights(by_score=True, least_agreement=0.8, background=0.5, empty_background=0.05)
    thresholds = Thresholds(("a", "b"), (0.5, 0.5), (0.3, 0.5))
    chosen = choose(FOUND.scores, FOUND.classes, thresholds, weights, AGREEMENT)
    np.testing.assert_allclose(rows(chosen), [[0, 0.9, 1, 0], [1, 0.6, 0, 0], [0, 0.4, 1, 1]], rtol=1e-6)
    assert chosen.weights.background == 0.5
    low = Thresholds(("a", "b"), (0.95, 0.95), (0.3, 0.95))  # ignored regions alone are no labels
    chosen = choose(FOUND.scores, FOUND.classes, low, weights, AGREEMENT)
    assert chosen.weights.ignore.tolist() == [True, True]
    assert chosen.weights.background == 0.05
    with pytest.raises(UserError, match="also mirrored"):
        choose(FOUND.scores, FOUND.classes, thresholds, weights)
    with pytest.raises(UserError, match="background -1"):
        PseudoWeights(background=-1)
