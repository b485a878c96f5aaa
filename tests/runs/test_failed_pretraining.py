"""What a run says of a pre-training that did not learn."""

import json

import pytest

from kerassl.report.page import _failures, write_report
from kerassl.runs import pretrain as pretraining

pytestmark = pytest.mark.current_stack

FIGURES = {"images": 448, "steps": 70, "loss": 4.842, "chance": 4.844, "batch_size": 64, "decoupled": False}
ALARMS = [
    {"step": 30, "kind": "flat", "message": "gone again", "at_end": False},
    {"step": 70, "kind": "collapsed", "message": "4.5 directions, 33.0 at the start: lower the rate", "at_end": True},
]


@pytest.mark.parametrize(
    ("found", "said", "red"),
    [
        ({"learned": False, "alarms": ALARMS}, "B1 did not learn from about 448 images", True),
        ({"learned": True, "alarms": ALARMS[:1]}, "B1 learned from about 448 images", False),
        ({"learned": None, "alarms": []}, "B1 was trained for 70 steps on about 448 images", False),
        ({}, "B1 was trained for 70 steps on about 448 images", False),  # of an older run
    ],
)
def test_page_and_summary_name_what_failed_at_the_end(found, said, red, tmp_path):
    figures = {**FIGURES, **found}
    summary = pretraining.summary("B1", figures)
    assert summary.startswith(said)
    assert "a loss of 4.842 nats (4.844 is chance)" in summary
    results = {"title": "t", "summary": summary, "machine": "m", "pretrain": figures}
    (tmp_path / "results.json").write_text(json.dumps(results))
    page = write_report(tmp_path).read_text()
    assert ("<p class='bad'><b>The pre-training did not learn.</b> collapsed: 4.5 directions" in page) == red
    assert ("lower the rate" in summary) == red
    assert "gone again" not in summary + page
    boxes = _failures({"variants": {"own <photos>": {"pretrain": figures}, "random": {"pretrain": None}}})
    assert [box.partition("</b>")[0] for box in boxes] == [
        "<p class='bad'><b>The pre-training of own &lt;photos&gt; did not learn."
    ] * red
