"""The summary of a pre-training that did not learn."""

import pytest

from kerassl.runs import pretrain as pretraining

pytestmark = pytest.mark.current_stack

FIGURES = {"images": 448, "steps": 70, "loss": 4.842, "chance": 4.844, "batch_size": 64, "decoupled": False}
ALARMS = [
    {"step": 30, "kind": "flat", "message": "gone again", "at_end": False},
    {"step": 70, "kind": "collapsed", "message": "4.5 directions, 33.0 at the start: lower the rate", "at_end": True},
]


@pytest.mark.parametrize(
    ("found", "start", "failed"),
    [
        ({"learned": False, "alarms": ALARMS}, "B1 did not learn from 448 images an epoch", True),
        ({"learned": True, "alarms": ALARMS[:1]}, "B1 learned from 448 images an epoch", False),
        ({"learned": None, "alarms": []}, "B1 was trained for 70 steps on 448 images an epoch", False),
        ({}, "B1 was trained for 70 steps on 448 images an epoch", False),  # of an older run
    ],
)
def test_summary_names_the_alarms_at_the_end_when_training_failed(found, start, failed):
    figures = {**FIGURES, **found}
    summary = pretraining.summary("B1", figures)
    assert summary.startswith(start)
    assert "a loss of 4.842 nats (4.844 is chance)" in summary
    assert ("lower the rate" in summary) == failed
    assert "gone again" not in summary
