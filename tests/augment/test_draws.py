"""10,000 draws against the distributions that they should have, and against each other.

The seed is fixed, so a test passes always or never. Thresholds are p-values of 0.001 over about thirty comparisons.
"""

import math

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from kerassl.augment import SimCLRViews
from kerassl.augment.crop import ATTEMPTS

pytestmark = pytest.mark.current_stack

COUNT = 5000  # images; two views each
SEED = tf.constant([11, 4])
SURE = 0.001


def _uniform(values, low, high):
    return stats.kstest(values, "uniform", args=(low, high - low)).pvalue


def _share(happened, probability):
    return stats.binomtest(int(np.sum(happened)), len(happened), probability).pvalue


def _boxes(views, shape, seed=SEED):
    draws = views._draws(seed, 0, COUNT, None)
    return views._boxes(draws, *shape).numpy().T


def _area_and_ratio(boxes, shape):
    y0, x0, y1, x1 = boxes
    return (y1 - y0) * (x1 - x0), (x1 - x0) * shape[1] / ((y1 - y0) * shape[0])


def _slow_boxes(shape, rng):
    """The usual rule in plain loops: an area, then a shape, at most ten times until the box fits."""
    height, width = shape
    found = []
    while len(found) < 2 * COUNT:
        for _ in range(ATTEMPTS):
            area = rng.uniform(0.08, 1.0) * height * width
            ratio = math.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3)))
            w, h = math.sqrt(area * ratio), math.sqrt(area / ratio)
            if w <= width and h <= height:
                break
        else:
            continue  # what happens then has a test of its own
        found.append(
            (w * h / (height * width), w / h, rng.uniform(0, height - h) / height, rng.uniform(0, width - w) / width)
        )
    return np.array(found).T


def test_boxes_are_uniform_in_area_shape_and_place_when_all_fit():
    # A box of half the image, at most 4:3, fits into a square always.
    views = SimCLRViews(32, scale=(0.08, 0.5))
    y0, x0, y1, x1 = boxes = _boxes(views, (50, 50))
    area, ratio = _area_and_ratio(boxes, (50, 50))
    assert _uniform(area, 0.08, 0.5) > SURE
    assert _uniform(np.log(ratio), math.log(3 / 4), math.log(4 / 3)) > SURE
    assert _uniform(y0 / (1 - (y1 - y0)), 0, 1) > SURE
    assert _uniform(x0 / (1 - (x1 - x0)), 0, 1) > SURE
    assert stats.spearmanr(area, ratio).pvalue > SURE


@pytest.mark.parametrize("shape", [(50, 50), (60, 80), (90, 60)])
def test_boxes_follow_the_usual_rule_when_large_ones_are_drawn_again(shape):
    boxes = _boxes(SimCLRViews(32), shape)
    area, ratio = _area_and_ratio(boxes, shape)
    expected = _slow_boxes(shape, np.random.default_rng(5))
    for name, found, wanted in zip(("area", "shape", "top", "left"), (area, ratio, boxes[0], boxes[1]), expected):
        assert stats.ks_2samp(found, wanted).pvalue > SURE, name


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_colors_flips_and_blurs_follow_the_policy(strength):
    views = SimCLRViews(32, strength=strength)
    draws = views._draws(SEED, 0, COUNT, None)
    jitter = views._jitter(draws)
    jittered = (jitter.brightness != 1.0).numpy()
    sigmas = views._sigmas(draws).numpy()
    assert _share(jittered, 0.8) > SURE
    np.testing.assert_array_equal(jittered, (jitter.hue != 0.0).numpy())
    for factor in (jitter.brightness, jitter.contrast, jitter.saturation):
        assert _uniform(factor.numpy()[jittered], 1 - 0.8 * strength, 1 + 0.8 * strength) > SURE
        assert np.all(factor.numpy()[~jittered] == 1.0)
    assert _uniform(jitter.hue.numpy()[jittered], -0.2 * strength, 0.2 * strength) > SURE
    orders, counts = np.unique(jitter.order.numpy()[jittered], axis=0, return_counts=True)
    assert len(orders) == 24
    assert stats.chisquare(counts).pvalue > SURE
    assert _share(jitter.grayscale, 0.2) > SURE
    assert _share(sigmas > 0, 0.5) > SURE
    assert _uniform(sigmas[sigmas > 0], 0.1, 2.0) > SURE
    flips = (draws["flip"][:, 0] < views.flip).numpy()
    assert _share(flips, 0.5) > SURE
    # Nothing goes with anything else: no pair of these happens together more or less often than by chance.
    happened = [flips, jittered, jitter.grayscale.numpy(), sigmas > 0]
    for place, one in enumerate(happened):
        for other in happened[place + 1 :]:
            assert stats.chi2_contingency(np.histogram2d(one, other, 2)[0]).pvalue > SURE


def test_draws_that_replace_one_another_have_the_probabilities_that_were_asked_for():
    views = SimCLRViews(32, flip=0.1, jitter=0.3, grayscale=0.6, blur=0.9)
    draws = views._draws(SEED, 0, COUNT, None)
    jitter = views._jitter(draws)
    assert _share(draws["flip"][:, 0] < views.flip, 0.1) > SURE
    assert _share(jitter.brightness != 1.0, 0.3) > SURE
    assert _share(jitter.grayscale, 0.6) > SURE
    assert _share(views._sigmas(draws) > 0, 0.9) > SURE


def test_no_two_views_share_a_draw_and_none_foretells_another():
    views = SimCLRViews(32)
    steps = [
        tf.concat(list(views._draws(tf.constant([11, step]), 0, COUNT, None).values()), axis=1).numpy()
        for step in (4, 5)
    ]
    both = np.concatenate(steps)
    assert len(np.unique(both, axis=0)) == 4 * COUNT
    # Every column of the first views, the second views, and those of the next step, against every other.
    columns = np.concatenate([step[start : start + COUNT] for step in steps for start in (0, COUNT)], axis=1)
    correlations = np.corrcoef(columns, rowvar=False)
    far = np.abs(correlations[~np.eye(len(correlations), dtype=bool)])
    pairs = far.size / 2
    # The largest of so many correlations of nothing, with a probability of 0.999.
    bound = stats.norm.isf(SURE / (2 * pairs)) / math.sqrt(COUNT)
    assert far.max() < bound


def test_every_draw_is_fresh_when_a_traced_function_gets_another_seed():
    views = SimCLRViews(32)
    traced = tf.function(lambda seed: views._draws(seed, 0, 8, None), input_signature=[tf.TensorSpec([2], tf.int32)])
    once, again, other = (traced(tf.constant([1, step])) for step in (7, 7, 8))
    for name, values in once.items():
        np.testing.assert_array_equal(values, again[name])
        np.testing.assert_array_equal(values, views._draws(tf.constant([1, 7]), 0, 8, None)[name])
        assert not np.any(values.numpy() == other[name].numpy()), name


@pytest.mark.parametrize("fused", [True, False])
def test_parts_of_a_batch_have_the_bits_of_the_whole_whatever_their_size(fused):
    # Gradients of replicas are those of one to the last digits only if views are.
    images = tf.random.stateless_uniform([12, 60, 50, 3], [1, 2], maxval=255.0)
    views = SimCLRViews(64, fused=fused)
    whole = views(images, SEED)
    for share in (1, 2, 3, 5):
        for start in range(0, 12, share):
            part = views(images[start : start + share], SEED, offset=start, total=12)
            for name, field in part._asdict().items():
                np.testing.assert_array_equal(field, getattr(whole, name)[start : start + share], err_msg=name)
