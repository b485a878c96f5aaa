"""The verdict of a comparison, on made-up cells: no network is run."""

import itertools
import json
import re
import time

import numpy as np
import pytest
from PIL import Image
from scipy import stats

from kerassl import UserError
from kerassl.experiment import report
from kerassl.experiment.pigeonhole import image_counts, interval, seed_counts
from kerassl.experiment.verdict import sentences, table_text, verdict
from kerassl.experiment.verdict_page import verdict_parts
from kerassl.experiment.verdict_plots import _apart, curves, pictures

pytestmark = pytest.mark.current_stack

MEASURES = ("mean_iou", "loc_acc_50", "loc_acc_70", "top1", "top3")
AP = ("voc07_ap50", "voc10_ap50", "coco_ap", "coco_ap50", "coco_ap75")


def made_up(arms, protocols=("frozen",), labels=(100, 300, None), seeds=(0, 1, 2), images=60, noise=0.1):
    """Cells whose IoU is that of the arm (a mean, or one for each number of labels), plus image, seed and noise."""
    draw = np.random.default_rng(0)
    ease = draw.normal(0, 0.15, images)  # of an image, for all arms
    cells = []
    for protocol, (step, count), (arm, level), seed in itertools.product(
        protocols, enumerate(labels), arms.items(), seeds
    ):
        level = level[step] if isinstance(level, tuple) else level
        iou = np.clip(level + ease + draw.normal(0, 0.01) + draw.normal(0, noise, images), 0, 1)
        top1 = (iou + draw.normal(0, 0.2, images) > 0.5).astype(int)
        top3 = np.maximum(top1, draw.random(images) < 0.3).astype(int)
        figures = dict(zip(MEASURES, map(float, means(iou, top1, top3))))
        figures |= {key: float(0.8 * level + draw.normal(0, 0.01)) for key in AP if protocol == "detector"}
        cells.append(
            {
                "arm": arm, "protocol": protocol, "labels": count, "seed": seed, "images": images, "minutes": 1.0,
                "figures": figures,
                "per_image": {
                    "ids": [f"{each:06}" for each in range(images)],
                    "iou": iou.tolist(), "top1": top1.tolist(), "top3": top3.tolist(),
                },
            }
        )  # fmt: skip
    return cells


def means(iou, top1, top3):
    return np.mean(iou), np.mean(iou >= 0.5), np.mean(iou >= 0.7), np.mean(top1), np.mean(top3)


def only(found, protocol="frozen", count=0, pair=0):
    return found["protocols"][protocol]["counts"][count]["differences"][pair]


def test_intervals_equal_those_of_plain_loops_over_the_same_draws():
    cells = made_up({"base": 0.5, "ours": 0.55}, labels=(100,), seeds=(3, 5, 8), images=23)
    found = only(verdict(cells, baseline="base", resamples=300, confidence=0.9, seed=7))
    by_arm = {arm: [cell["per_image"] for cell in cells if cell["arm"] == arm] for arm in ("base", "ours")}
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
                for one in (by_arm["ours"], by_arm["base"])
            ]
            total += weight * (both[0] - both[1]) / 3
        resampled.append(total)
    for number, measure in enumerate(MEASURES):
        scores = np.array(
            [
                [score(ours, row)[number] - score(theirs, row)[number] for row in range(23)]
                for ours, theirs in zip(by_arm["ours"], by_arm["base"])
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
    ("seeds", "of_seeds", "of_images", "of_both"),
    [
        (5, 0.01, 0.15, 0.1),  # what trainings look like: images differ far more than seeds
        (3, 0.02, 0.1, 0.1),
        (3, 0.03, 0.01, 0.01),  # seeds alone differ
        (2, 0.03, 0.1, 0.01),
        (1, 0.0, 0.15, 0.1),
    ],
)
def test_a_true_difference_of_zero_is_called_real_once_in_twenty(seeds, of_seeds, of_images, of_both):
    """Of 600 comparisons with no true difference 0.5 to 8 % are called real.

    5 % of 600 have a standard deviation of 0.9 %, so that 8 % is more than three away from it. The lower end leaves
    room for what the pigeonhole bootstrap counts up to three times: what is particular to one seed on one image.
    """
    draw, count, times = np.random.default_rng(0), 60, 600
    scores = (
        draw.normal(0, of_seeds, [times, seeds, 1])
        + draw.normal(0, of_images, [times, 1, count])
        + draw.normal(0, of_both, [times, seeds, count])
    )
    drawn = image_counts(count, 1000, 1), seed_counts(seeds, 1000, 1)
    _, low, high = interval(scores, *drawn, 0.95)
    wrong = np.mean((low > 0) | (high < 0))
    print(seeds, of_seeds, of_images, of_both, wrong)
    assert 0.005 <= wrong <= 0.08
