"""Distances to labeled images against loops."""

import numpy as np
import pytest

from kerassl import UserError
from kerassl.detectors.self_training import foreign
from kerassl.detectors.self_training.foreign import LabeledFeatures

pytestmark = pytest.mark.current_stack


def slow_distance(row, others):
    lengths = np.linalg.norm(row) * np.linalg.norm(others, axis=1)
    return min(1 - np.dot(row, other) / length for other, length in zip(others, lengths))


@pytest.mark.parametrize("block", [1, 3, 1024])
def test_distances_and_limit_equal_those_of_loops_when_blocks_are_of_any_size(monkeypatch, block):
    monkeypatch.setattr(foreign, "_BLOCK", block)
    draw = np.random.default_rng(0)
    labeled, others = draw.normal(1, 1, [10, 4]), draw.normal(0, 1, [7, 4]).astype("float32")
    found = LabeledFeatures(labeled, percentile=75)
    own = [slow_distance(row, np.delete(labeled, place, 0)) for place, row in enumerate(labeled)]
    assert found.limit == pytest.approx(np.percentile(own, 75), abs=1e-8)
    expected = [slow_distance(row.astype(float), labeled) for row in others]
    np.testing.assert_allclose(found.distances(others), expected, rtol=1e-10)
    assert (found.distances(labeled) <= found.limit).all()
    assert found.distances(others[:0]).shape == (0,)


def test_copies_are_not_foreign_when_all_labeled_images_are_alike():
    rows = np.tile(np.random.default_rng(0).normal(size=[1, 9]), [5, 1])
    found = LabeledFeatures(rows)
    assert (found.distances(3 * rows) <= found.limit).all()
    assert (found.distances(-rows) > found.limit).all()
    with pytest.raises(UserError, match="features of 1 images"):
        LabeledFeatures(rows[:1])
