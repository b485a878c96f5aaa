import numpy as np
import pytest
from scipy import stats

from kerassl import UserError
from kerassl.explain import paired_bootstrap, whole_object

pytestmark = pytest.mark.current_stack  # NumPy alone: both stacks would find out the same


def mean_of(values):
    return lambda rows: {"mean": float(values[rows].mean())}


def test_intervals_are_those_of_the_normal_distribution_when_there_are_many_images():
    values = np.random.default_rng(0).normal(3, 2, 400)
    value, low, high = paired_bootstrap({"a": mean_of(values)}, 400, resamples=4000)["arms"]["a"]["mean"]
    half = stats.norm.ppf(0.975) * values.std() / 20
    assert value == pytest.approx(values.mean())
    assert (low, high) == pytest.approx((value - half, value + half), abs=0.02)


def test_intervals_equal_those_of_scipy():
    values = np.random.default_rng(1).exponential(size=60)
    expected = stats.bootstrap([values], np.mean, n_resamples=9999, method="percentile", rng=0).confidence_interval
    found = paired_bootstrap({"a": mean_of(values)}, 60, resamples=9999)["arms"]["a"]["mean"]
    assert found[1:] == pytest.approx([expected.low, expected.high], abs=0.02)


def test_differences_are_paired_by_image():
    draw = np.random.default_rng(2)
    easy = draw.normal(0, 5, 100)  # what images have in common drops out
    table = paired_bootstrap({"a": mean_of(easy), "b": mean_of(easy + 0.1 + draw.normal(0, 0.1, 100))}, 100)
    assert set(table["differences"]) == {"b"}
    value, low, high = table["differences"]["b"]["mean"]
    assert 0 < low < value < high
    assert high - low < 0.06
    assert np.ptp(table["arms"]["a"]["mean"][1:]) > 1


def test_figures_of_heatmaps_go_straight_in_and_what_is_unknown_is_nan():
    heat = np.random.default_rng(3).uniform(size=[5, 16, 16])
    boxes = [np.array([[2.0, 2, 9, 9]])] * 5
    scores = {"a": whole_object(heat, boxes).figures, "b": lambda rows: {"energy": float("nan")}}
    table = paired_bootstrap(scores, 5, resamples=50)
    low, high = table["arms"]["a"]["energy"][1:]
    assert low < table["arms"]["a"]["energy"][0] < high
    assert np.isnan(table["differences"]["b"]["energy"]).all()


@pytest.mark.parametrize("arguments", [({}, 3), ({"a": None}, 0), ({"a": None}, 3, 1.5)])
def test_mistakes_get_one_line(arguments):
    arms, count, *confidence = arguments
    with pytest.raises(UserError, match="give one of both at least"):
        paired_bootstrap(arms, count, **({"confidence": confidence[0]} if confidence else {}))
