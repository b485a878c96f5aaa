"""The gain of a detector from unlabeled images, in a sentence and a plot."""

import re

import pytest

from kerassl.report.self_training import gain_plot, gain_sentence

pytestmark = pytest.mark.current_stack


def choice(low, high, baseline="control"):
    figures = {key: [0.2, 0.15, 0.25] for key in ("coco_ap", "coco_ap50", "coco_ap75")}
    difference = {key: [(low + high) / 2, low, high] for key in figures}
    values = {"teacher": figures, "student": {**figures, "coco_ap": [0.3, 0.25, 0.35]}, "control": figures}
    return {
        "gain": {
            "baseline": baseline, "student": "student", "images": 1200, "unseen": True, "values": values,
            "differences": {"student": difference},
        }
    }  # fmt: skip


@pytest.mark.parametrize(
    ("low", "high", "verb", "expected"),
    [
        (0.05, 0.15, "raises", "+5.0 to +15.0"),
        (-0.15, -0.0004, "lowers", "−15.00 to −0.04"),
        (-0.05, 0.15, "does not", "−5.0 to +15.0"),
    ],
)
def test_gain_is_stated_when_its_interval_excludes_zero(low, high, verb, expected):
    text = gain_sentence(choice(low, high)["gain"], 800)
    assert re.search(r"unlabeled images (\w+( not)?) ", text)[1] == verb
    assert re.search(r"interval (.*?);", text)[1] == expected
    assert re.findall(r"\d+\.\d(?= %)", text) == ["20.0", "30.0"]


@pytest.mark.parametrize("baseline", ["control", "teacher"])
def test_plot_is_drawn_whatever_the_baseline(baseline):
    assert gain_plot(choice(-0.1, 0.2, baseline)["gain"]).startswith(b"\x89PNG")
