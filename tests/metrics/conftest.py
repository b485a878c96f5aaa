"""Random ground truth and detections on a coarse grid, so that overlaps and scores tie often."""

import numpy as np
import pytest

from kerassl.datasets import Record
from kerassl.types import Detections


def _record(image_id, boxes, classes, difficult=None):
    """A record of a 100 x 100 image; no object is difficult by default."""
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    difficult = np.zeros(len(boxes), bool) if difficult is None else np.asarray(difficult, bool)
    return Record(image_id, f"{image_id}.jpg", 100, 100, boxes, np.asarray(classes, np.int32), difficult)


def _prediction(boxes, scores, classes):
    return Detections(
        np.asarray(boxes, np.float32).reshape(-1, 4), np.asarray(scores, np.float32), np.asarray(classes, np.int32)
    )


def _boxes(rng, count, step):
    corner = rng.integers(0, 60 // step, [count, 2]) * step
    return np.concatenate([corner, corner + rng.integers(1, 40 // step, [count, 2]) * step], axis=1)


def _case(seed, images=4, classes=3, objects=4, detections=8, step=10, difficult=0.3):
    """Records and predictions; about half of the detections are near an object."""
    rng = np.random.default_rng(seed)
    records, predictions = [], {}
    for image in range(images):
        count = rng.integers(0, objects + 1)
        truth = _boxes(rng, count, step)
        labels = rng.integers(0, classes, count)
        records.append(_record(f"image{image}", truth, labels, rng.uniform(size=count) < difficult))
        found = rng.integers(0, detections + 1)
        boxes, names = _boxes(rng, found, step), rng.integers(0, classes, found)
        if count:
            near = rng.uniform(size=found) < 0.6
            owner = rng.integers(0, count, found)
            boxes[near] = (truth[owner] + rng.integers(-1, 2, [found, 4]) * step // 2)[near]
            boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2])
            names[near] = labels[owner][near]
        scores = rng.integers(0, 6, found) / 5
        predictions[f"image{image}"] = _prediction(boxes, scores, names)
    return predictions, records


@pytest.fixture
def record():
    return _record


@pytest.fixture
def prediction():
    return _prediction


@pytest.fixture
def case():
    """`case(seed, …)`: predictions and records."""
    return _case
