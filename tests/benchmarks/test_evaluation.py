"""The evaluator's speed, with room to spare for a busy machine."""

import time

import pytest

from benchmarks.evaluation import random_set
from kerassl.datasets import VOC_CLASSES
from kerassl.metrics import evaluate_detections


@pytest.mark.current_stack
def test_five_hundred_images_take_less_than_ten_seconds():
    predictions, records = random_set(500, 100)
    begun = time.process_time()
    figures = evaluate_detections(predictions, records, VOC_CLASSES)
    assert time.process_time() - begun < 10
    assert 0.1 < figures["errors"]["right"] / figures["errors"]["objects"] < 1
    assert figures["errors"]["detections"] == 50_000
