"""The summary of a comparison, on made-up trials: no network is run."""

import itertools
import json

import numpy as np
import pytest
from scipy import stats

from kerassl import UserError
from kerassl.comparison.summary import summarize
from kerassl.metrics import CocoMatches
from kerassl.report.comparison import is_conclusive, significant
from kerassl.statistics import image_counts, pigeonhole_interval, seed_counts
from kerassl.types import AP_METRICS, LOCALIZATION_METRICS

pytestmark = pytest.mark.current_stack


def made_up(variants, protocols=("frozen",), labels=(100, 300, None), seeds=(0, 1, 2), images=60, noise=0.1):
    """Trials whose IoU is that of the variant (one mean, or one a number of labels), plus image, seed and noise."""
    draw = np.random.default_rng(0)
    ease = draw.normal(0, 0.15, images)  # of an image, for all variants
    trials = []
    for protocol, (step, count), (variant, level), seed in itertools.product(
        protocols, enumerate(labels), variants.items(), seeds
    ):
        level = level[step] if isinstance(level, tuple) else level
        iou = np.clip(level + ease + draw.normal(0, 0.01) + draw.normal(0, noise, images), 0, 1)
        top1 = (iou + draw.normal(0, 0.2, images) > 0.5).astype(int)
        top3 = np.maximum(top1, draw.random(images) < 0.3).astype(int)
        figures = dict(zip(LOCALIZATION_METRICS, map(float, means(iou, top1, top3))))
        figures |= {key: float(0.8 * level + draw.normal(0, 0.01)) for key in AP_METRICS if protocol == "detector"}
        trials.append(
            {
                "variant": variant, "protocol": protocol, "labels": count, "seed": seed, "images": images,
                "minutes": 1.0,
                "figures": figures,
                "per_image": {
                    "ids": [f"{each:06}" for each in range(images)],
                    "iou": iou.tolist(), "top1": top1.tolist(), "top3": top3.tolist(),
                },
            }
        )  # fmt: skip
    return trials


def means(iou, top1, top3):
    return np.mean(iou), np.mean(iou >= 0.5), np.mean(iou >= 0.7), np.mean(top1), np.mean(top3)


def only(found, protocol="frozen", count=0, pair=0):
    return found["protocols"][protocol]["counts"][count]["differences"][pair]


def test_intervals_equal_plain_loops_over_the_same_draws():
    trials = made_up({"base": 0.5, "ours": 0.55}, labels=(100,), seeds=(3, 5, 8), images=23)
    found = only(summarize(trials, baseline="base", resamples=300, confidence=0.9, seed=7))
    by_variant = {
        variant: [trial["per_image"] for trial in trials if trial["variant"] == variant] for variant in ("base", "ours")
    }
    images, seeds = np.random.default_rng(7), np.random.default_rng([7, 3])
    resampled = []
    for _ in range(300):
        rows, picked = images.integers(0, 23, 23), seeds.integers(0, 3, 3)
        # A seed that was drawn n times weighs 1 + (n - 1) √(3 / 2): the spread that three of three lose is given back.
        weights = [1 + (list(picked).count(seed) - 1) * 1.5**0.5 for seed in range(3)]
        total = np.zeros(5)
        for seed, weight in enumerate(weights):
            both = [
                np.array(means(*(np.array([one[seed][key][row] for row in rows]) for key in ("iou", "top1", "top3"))))
                for one in (by_variant["ours"], by_variant["base"])
            ]
            total += weight * (both[0] - both[1]) / 3
        resampled.append(total)
    for number, measure in enumerate(LOCALIZATION_METRICS):
        scores = np.array(
            [
                [score(ours, row)[number] - score(theirs, row)[number] for row in range(23)]
                for ours, theirs in zip(by_variant["ours"], by_variant["base"])
            ]
        )
        of_images = np.var([scores[:, row].mean() for row in range(23)], ddof=1) / 23
        of_seeds = np.var([scores[seed].mean() for seed in range(3)], ddof=1) / 3
        freedom = (of_images + of_seeds) ** 2 / (of_images**2 / 22 + of_seeds**2 / 2)
        wider = stats.t.ppf(0.95, freedom) / stats.norm.ppf(0.95)
        value = scores.mean()
        low, high = (value + wider * (np.quantile([one[number] for one in resampled], q) - value) for q in (0.05, 0.95))
        each = found["measures"][measure]
        assert [each[part] for part in ("value", "low", "high")] == pytest.approx([value, low, high], abs=1e-12)
        assert each["by_seed"] == pytest.approx(scores.mean(axis=1).tolist(), abs=1e-12)


def score(one, row):
    return [float(value) for value in means(*(np.array([one[key][row]]) for key in ("iou", "top1", "top3")))]


@pytest.mark.parametrize(
    ("seeds", "of_seeds", "of_images", "of_both", "least", "most"),
    [
        (5, 0.01, 0.15, 0.10, 0.01, 0.08),  # as in trainings: images differ far more than seeds
        (3, 0.02, 0.10, 0.10, 0.01, 0.08),
        (5, 0.03, 0.01, 0.01, 0.03, 0.08),  # seeds alone differ
        (3, 0.03, 0.01, 0.01, 0.03, 0.08),
        (2, 0.03, 0.10, 0.01, 0.03, 0.13),  # the worst mixture for two seeds, as the docstring states
        (1, 0.00, 0.15, 0.10, 0.03, 0.08),
    ],
)
def test_one_in_twenty_differences_is_significant_when_none_is_true(seeds, of_seeds, of_images, of_both, least, most):
    """Of 1,000 comparisons; 5 % of them have a standard deviation of 0.7 %, four of which fit below 8 %.

    The lower ends leave room for what the pigeonhole bootstrap counts more than once.
    """
    scores = comparisons(1000, seeds, of_seeds, of_images, of_both)
    _, low, high = pigeonhole_interval(scores, image_counts(60, 1000, 1), seed_counts(seeds, 1000, 1), 0.95)
    assert least <= np.mean((low > 0) | (high < 0)) <= most


def comparisons(times, seeds, of_seeds, of_images, of_both):
    """Differences whose true mean is 0, as `[times, seeds, 60 images]`."""
    draw = np.random.default_rng(0)
    return (
        draw.normal(0, of_seeds, [times, seeds, 1])
        + draw.normal(0, of_images, [times, 1, 60])
        + draw.normal(0, of_both, [times, seeds, 60])
    )


def test_large_difference_is_significant_and_that_of_equal_variants_is_not():
    trials = made_up({"base": 0.4, "ours": 0.6}, images=200)
    trials += [{**trial, "variant": "again"} for trial in trials if trial["variant"] == "base"]
    found = summarize(trials, baseline="base")
    for count in range(3):
        better, again = only(found, count=count), only(found, count=count, pair=1)
        assert all(each["significant"] and 0 < each["low"] < each["value"] for each in better["measures"].values())
        assert all([each["value"], each["low"], each["high"]] == [0, 0, 0] for each in again["measures"].values())
        assert not any(each["significant"] for each in again["measures"].values())
    assert [count["labels"] for count in found["protocols"]["frozen"]["counts"]] == [100, 300, None]
    everywhere = dict.fromkeys((100, 300, None), 1)
    assert significant(found, "frozen", "ours") == dict.fromkeys(LOCALIZATION_METRICS, everywhere)
    assert significant(found, "frozen", "again") == {}


def test_average_precision_has_means_and_differences_over_seeds_and_no_interval():
    trials = made_up({"base": 0.4, "ours": 0.6}, protocols=("detector",), labels=(100,))
    found = summarize(trials, baseline="base")
    ap = {
        variant: [trial["figures"]["coco_ap75"] for trial in trials if trial["variant"] == variant]
        for variant in ("base", "ours")
    }
    figure = found["protocols"]["detector"]["counts"][0]["variants"]["ours"]["figures"]["coco_ap75"]
    assert figure["by_seed"] == ap["ours"]
    assert figure["mean"] == pytest.approx(np.mean(ap["ours"]))
    assert figure["spread"] == pytest.approx(np.ptp(ap["ours"]))
    assert figure["deviation"] == pytest.approx(np.std(ap["ours"], ddof=1))
    difference = only(found, "detector")["ap"]["coco_ap75"]
    assert set(difference) == {"by_seed", "mean"}  # and no interval
    assert difference["by_seed"] == pytest.approx(np.subtract(ap["ours"], ap["base"]))


def test_thresholds_are_inclusive_when_images_are_in_any_order():
    trials = made_up({"base": 0.4, "ours": 0.4}, labels=(100,), seeds=(0,), images=4)
    trials[0]["per_image"].update(iou=[0.5, 0.7, 0.1, 0.1])
    trials[1]["per_image"].update(iou=[0.499, 0.699, 0.1, 0.1])
    found = only(summarize(trials, baseline="ours"))["measures"]
    assert (found["loc_acc_50"]["value"], found["loc_acc_70"]["value"]) == (0.25, 0.25)
    trials[1]["per_image"] = {key: values[::-1] for key, values in trials[1]["per_image"].items()}
    assert only(summarize(trials, baseline="ours"))["measures"] == found


def test_only_common_seeds_are_compared_when_variants_have_others():
    trials = made_up({"base": 0.5, "ours": 0.5}, labels=(100,), seeds=range(4))
    unfinished = [trial for trial in trials if (trial["variant"], trial["seed"]) not in (("ours", 0), ("base", 3))]
    both = [trial for trial in trials if trial["seed"] in (1, 2)]
    found, expected = summarize(unfinished, baseline="base"), only(summarize(both, baseline="base"))
    assert only(found) == expected
    assert only(found)["seeds"] == [1, 2]
    assert found["protocols"]["frozen"]["counts"][0]["variants"]["ours"]["seeds"] == [1, 2, 3]
    apart = [trial for trial in trials if trial["seed"] == (0 if trial["variant"] == "base" else 1)]
    found = summarize(apart, baseline="base")
    assert only(found)["measures"] == {}


def test_one_seed_has_an_interval_over_images():
    found = summarize(made_up({"base": 0.4, "ours": 0.6}, labels=(100,), seeds=(0,), images=400), baseline="base")
    each = only(found)["measures"]["mean_iou"]
    assert 0 < each["low"] < each["value"] < each["high"]


GATE = {"good": "good", "poor": "poor", "mean_iou": 8, "loc_acc_70": 12}


@pytest.mark.parametrize(("poor", "passed"), [((0.55, 0.55, 0.4), True), ((0.3, 0.3, 0.55), False)])
def test_sanity_check_is_done_at_the_largest_number_of_labels(poor, passed):
    """At the smaller numbers it would come out the other way."""
    trials = made_up({"good": 0.6, "poor": poor, "ours": 0.8}, protocols=("frozen", "localizer"))
    found = summarize(trials, baseline="good", sanity_check=GATE)
    assert found["sanity_check"]["passed"] is passed
    assert found["sanity_check"]["labels"] is None
    values = only(found, count=2)["measures"]
    assert only(found, count=2)["variant"] == "poor"
    for key, least in (("mean_iou", 0.08), ("loc_acc_70", 0.12)):
        sanity_check = found["sanity_check"]["measures"][key]
        assert sanity_check["value"] == pytest.approx(-values[key]["value"])
        assert sanity_check["least"] == least
        assert (sanity_check["value"] >= least) is passed
    assert is_conclusive(found, "frozen") is passed
    assert bool(significant(found, "frozen", "ours")) is passed
    assert set(significant(found, "localizer", "ours")) == set(LOCALIZATION_METRICS)


def test_sanity_check_is_open_until_its_variants_have_a_result():
    trials = made_up({"good": 0.6, "ours": 0.6})
    found = summarize(trials, baseline="good", sanity_check=GATE)
    assert found["sanity_check"]["passed"] is None
    assert not is_conclusive(found, "frozen")


def test_sanity_check_passes_at_exactly_the_required_points():
    trials = made_up({"good": 0.5, "poor": 0.5}, labels=(100,), seeds=(0, 1, 2), images=100)
    for trial in trials:
        trial["per_image"]["iou"] = [0.58 if trial["variant"] == "good" else 0.5] * 100
    assert summarize(trials, baseline="good", sanity_check={**GATE, "mean_iou": 8, "loc_acc_70": 0})["sanity_check"][
        "passed"
    ]
    assert not summarize(trials, baseline="good", sanity_check={**GATE, "mean_iou": 8.1, "loc_acc_70": 0})[
        "sanity_check"
    ]["passed"]


def test_named_pairs_are_compared_too():
    trials = made_up({"base": 0.4, "a": 0.6, "b": 0.5}, labels=(100,))
    found = summarize(trials, baseline="base", pairs=[("a", "b"), ("a", "base")])
    pairs = [(each["variant"], each["other"]) for each in found["protocols"]["frozen"]["counts"][0]["differences"]]
    assert pairs == [("a", "base"), ("b", "base"), ("a", "b")]
    against = summarize([trial for trial in trials if trial["variant"] != "base"], baseline="b")
    assert only(found, pair=2) == only(against)  # the same draws, whoever else is there


def changed(change):
    trials = made_up({"base": 0.5, "ours": 0.5}, labels=(100,), seeds=(0,), images=5)
    change(trials)
    return trials


@pytest.mark.parametrize(
    ("trials", "options", "message"),
    [
        (
            changed(lambda trials: None),
            {"baseline": "imagenet"},
            "no result of a variant 'imagenet'; there are base, ours",
        ),
        ([], {}, "there are none"),
        (changed(lambda trials: None), {"pairs": [("ours", "other")]}, "no result of a variant 'other'"),
        (changed(lambda trials: None), {"pairs": [("ours", "ours")]}, "against itself"),
        (
            changed(lambda trials: trials[1]["per_image"]["ids"].reverse() or trials[1]["per_image"]["ids"].pop()),
            {},
            "other",
        ),
        (changed(lambda trials: trials[1]["per_image"].update(ids=list("abcde"))), {}, r"ours .*, seed 0\) and base"),
        (changed(lambda trials: trials[1]["per_image"]["iou"].pop()), {}, "one score for each image"),
        (changed(lambda trials: trials[1]["per_image"].update(iou=[float("nan")] * 5)), {}, "no number"),
        (changed(lambda trials: trials.append(trials[1])), {}, "occurs twice"),
        (changed(lambda trials: trials[1].update(protocol="linear")), {}, "'linear' is no protocol"),
        (changed(lambda trials: None), {"sanity_check": {"good": "base", "mean_iou": 8}}, "give good and poor"),
        (
            changed(lambda trials: None),
            {"sanity_check": {"good": "base", "poor": "ours", "coco_ap": 8}},
            "give good and poor",
        ),
        (changed(lambda trials: None), {"confidence": 95}, "a share below 1"),
    ],
)
def test_invalid_input_raises_one_line(trials, options, message):
    with pytest.raises(UserError, match=message) as error:
        summarize(trials, **{"baseline": "base", **options})
    assert "\n" not in str(error.value)


def test_summary_is_json_and_the_same_for_the_same_seed():
    trials = made_up({"base": 0.4, "ours": 0.6}, protocols=("detector",))
    trials[-1]["figures"]["coco_ap"] = float("nan")
    first, second = (summarize(trials, baseline="base", resamples=100) for _ in range(2))
    assert json.dumps(first, allow_nan=False) == json.dumps(second)
    assert first != summarize(trials, baseline="base", resamples=100, seed=1)


def test_average_precision_has_the_interval_of_plain_loops_over_the_same_draws():
    trials = made_up({"base": 0.5, "ours": 0.55}, ("detector",), labels=(100,), seeds=(3, 5), images=23)
    matches = {(trial["variant"], trial["seed"]): matched(number) for number, trial in enumerate(trials)}
    trials = [{**trial, "matches": matches[trial["variant"], trial["seed"]]} for trial in trials]
    found = only(summarize(trials, baseline="base", resamples=200, confidence=0.9, seed=7), "detector")
    ids = sorted(matches["base", 3].ids)

    def difference(seed, drawn):
        rows = {name: [[*matches[name, seed].ids].index(ids[row]) for row in drawn] for name in ("ours", "base")}
        ours, base = (matches[name, seed](np.array(rows[name])) for name in ("ours", "base"))
        return ours["coco_ap75"] - base["coco_ap75"]

    images, seeds, resampled = np.random.default_rng(7), np.random.default_rng([7, 2]), []
    for _ in range(50):
        rows, picked = images.integers(0, 12, 12), seeds.integers(0, 2, 2)
        weights = [1 + (list(picked).count(seed) - 1) * 2**0.5 for seed in range(2)]
        resampled.append([(difference(seed, rows), weight) for seed, weight in zip((3, 5), weights)])
    values = [difference(seed, range(12)) for seed in (3, 5)]
    of_images = np.var([np.mean([each for each, _ in one]) for one in resampled], ddof=1)
    of_seeds = np.var(values, ddof=1) / 2
    freedom = (of_images + of_seeds) ** 2 / (of_images**2 / 11 + of_seeds**2)
    wider = stats.t.ppf(0.95, freedom) / stats.norm.ppf(0.95)
    drawn = [np.mean([each * weight for each, weight in one]) for one in resampled]
    low, high = (np.mean(values) + wider * (np.quantile(drawn, q) - np.mean(values)) for q in (0.05, 0.95))
    each = found["measures"]["coco_ap75"]
    assert [each[part] for part in ("value", "low", "high")] == pytest.approx([np.mean(values), low, high], abs=1e-12)
    assert each["by_seed"] == pytest.approx(values, abs=1e-12)
    assert set(found["ap"]) == {"voc07_ap50", "voc10_ap50"}


def test_average_precision_has_differences_by_seed_alone_when_a_trial_has_no_matches():
    trials = made_up({"base": 0.5, "ours": 0.55}, ("detector",), labels=(100,), seeds=(3,), images=23)
    trials[0]["matches"] = matched(0)
    found = only(summarize(trials, baseline="base", resamples=20), "detector")
    assert set(found["ap"]) == set(AP_METRICS)
    assert set(found["measures"]) == set(LOCALIZATION_METRICS)


def matched(number, images=12, objects=20, detections=60):
    """Made-up matches of three classes, the images in an order of their own."""
    draw = np.random.default_rng(number)
    right = draw.random([10, 3 * detections]) < np.linspace(0.5, 0.1, 10)[:, None]
    rows = [draw.integers(0, images, 3 * count) for count in (objects, detections)]
    return CocoMatches(
        np.roll([f"{each:02}" for each in range(images)], number), np.array([[objects, detections]] * 3), *rows,
        right, ~right & (draw.random(right.shape) < 0.9),
    )  # fmt: skip
