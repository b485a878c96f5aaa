"""The significance summary of a comparison, its table cells and their numbers."""

import re

import pytest

from kerassl.report.comparison import is_conclusive, sentences, significant
from kerassl.report.render import Table, number, percent
from kerassl.types import LOCALIZATION_METRICS

pytestmark = pytest.mark.current_stack


def summary(*by_count, labels=(100, 300, None), check=None, seeds=(0, 1)):
    """Of `ours` against `base`; for each number of labels a dict from metric to (value, low, high)."""
    counts = []
    for changes, count in zip(by_count, labels):
        values = {key: changes.get(key, (0.0, -0.01, 0.01)) for key in LOCALIZATION_METRICS}
        measures = {
            key: {"value": value, "low": low, "high": high, "significant": low > 0 or high < 0}
            for key, (value, low, high) in values.items()
        }
        difference = {"variant": "ours", "other": "base", "seeds": list(seeds), "measures": measures, "ap": {}}
        counts.append({"labels": count, "variants": {}, "differences": [difference]})
    return {
        "variants": ["ours", "base"], "baseline": "base", "confidence": 0.9, "sanity_check": check,
        "protocols": {"frozen": {"images": 9, "counts": counts}},
    }  # fmt: skip


BETTER, WORSE = (0.03, 0.01, 0.05), (-0.03, -0.05, -0.01)


def test_finds_where_a_variant_is_significantly_better_and_worse():
    found = summary({"top1": WORSE}, {"loc_acc_70": BETTER}, {"loc_acc_70": BETTER, "top1": BETTER})
    assert significant(found, "frozen", "ours") == {"top1": {100: -1, None: 1}, "loc_acc_70": {300: 1, None: 1}}
    better, worse = sentences(found)
    assert better.endswith(
        "(frozen features, 2 seeds; 90 % CI excludes 0): Top-1 (all labels), LocAcc@0.7 (300, all labels)."
    )
    assert worse.endswith(": Top-1 (100 labels).")


@pytest.mark.parametrize(("seeds", "stated"), [((), []), ((7,), ["1 seed;"]), ((0, 1), ["2 seeds;"])])
def test_no_difference_is_stated_only_with_a_common_seed(seeds, stated):
    assert [re.search(r"\d+ seeds?;", each)[0] for each in sentences(summary({}, seeds=seeds))] == stated


@pytest.mark.parametrize(("passed", "conclusive"), [(True, True), (False, False), (None, False)])
def test_nothing_is_concluded_from_frozen_features_unless_the_sanity_check_passed(passed, conclusive):
    measures = {"mean_iou": {"value": 0.0925, "low": 0.05, "high": 0.125, "least": 0.08}}
    check = {"good": "ImageNet", "poor": "random", "labels": None, "passed": passed, "measures": measures}
    found = summary({"top1": BETTER}, check=check)
    assert is_conclusive(found, "frozen") is conclusive
    assert is_conclusive(found, "detector")
    check, *others = sentences(found)
    assert bool(others) is bool(significant(found, "frozen", "ours")) is conclusive
    assert ("+9.2 points (90 % CI 5.0 to 12.5; at least 8 required)" in check) is (passed is not None)


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (None, ".1f", "–"), (float("nan"), ".1f", "–"), (-0.0004, "+.1f", "0.0"), (-0.0325, "+.1f", "−3.2"),
        (0.5, "+.2f", "+50.00"), (1.0, ".0f", "100"), (0.0, ".1f", "0.0"),
    ],
)  # fmt: skip
def test_shares_are_shown_in_percent_without_a_negative_zero(value, form, text):
    assert percent(value, form) == text


def test_numbers_keep_zeros_before_and_after_the_point():
    assert [number(100.0, ".0f"), number(0, "d"), number(1000.0, ",.0f")] == ["100", "0", "1,000"]


def test_table_text_is_aligned_and_printable():
    lines = Table({"": "", "a\x1b": ""}, [["long\nname", "1"], ["b", "100"]]).to_text().splitlines()
    assert lines == ["            a\\x1b", "long\\nname      1", "b             100"]
