import numpy as np
import pytest
from scipy import stats

from kerassl import UserError
from kerassl.statistics import paired_bootstrap

pytestmark = pytest.mark.current_stack  # NumPy alone: both stacks would find out the same


def mean_of(values):
    return lambda rows: {"mean": float(values[rows].mean())}


def test_intervals_are_those_of_the_normal_distribution_when_images_are_many():
    values = np.random.default_rng(0).normal(3, 2, 400)
    value, low, high = paired_bootstrap({"a": mean_of(values)}, 400, resamples=4000).values["a"]["mean"]
    half = stats.norm.ppf(0.975) * values.std() / 20
    assert value == pytest.approx(values.mean())
    assert (low, high) == pytest.approx((value - half, value + half), abs=0.02)


def test_intervals_equal_those_of_scipy():
    values = np.random.default_rng(1).exponential(size=60)
    expected = stats.bootstrap([values], np.mean, n_resamples=9999, method="percentile", rng=0).confidence_interval
    found = paired_bootstrap({"a": mean_of(values)}, 60, resamples=9999).values["a"]["mean"]
    assert found[1:] == pytest.approx([expected.low, expected.high], abs=0.02)


def test_differences_are_paired_by_image():
    draw = np.random.default_rng(2)
    easy = draw.normal(0, 5, 100)  # what images have in common drops out
    table = paired_bootstrap({"a": mean_of(easy), "b": mean_of(easy + 0.1 + draw.normal(0, 0.1, 100))}, 100)
    assert set(table.differences) == {"b"}
    value, low, high = table.differences["b"]["mean"]
    assert 0 < low < value < high
    assert high - low < 0.06
    assert np.ptp(table.values["a"]["mean"][1:]) > 1


def test_metrics_that_are_nan_have_intervals_of_nan():
    values = np.random.default_rng(3).uniform(size=5)
    table = paired_bootstrap({"a": mean_of(values), "b": lambda rows: {"mean": float("nan")}}, 5, resamples=50)
    assert table.values["a"]["mean"].low < table.values["a"]["mean"].value < table.values["a"]["mean"].high
    assert np.isnan(table.differences["b"]["mean"]).all()


@pytest.mark.parametrize("arguments", [({}, 3), ({"a": None}, 0), ({"a": None}, 3, 1.5)])
def test_arguments_are_refused_in_one_line(arguments):
    models, count, *confidence = arguments
    with pytest.raises(UserError, match="give one of both at least"):
        paired_bootstrap(models, count, **({"confidence": confidence[0]} if confidence else {}))
