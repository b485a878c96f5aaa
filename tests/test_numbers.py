"""Numbers: what each range accepts, and public calls that refuse what is none or out of range in one line."""

import math

import numpy as np
import pytest

from kerassl import augment, callbacks, datasets, losses, metrics, models, statistics
from kerassl._errors import UserError
from kerassl._numbers import (
    ABOVE_0,
    COUNT,
    COUNT_OR_NONE,
    FROM_0,
    REAL,
    SEED,
    SHARE,
    SHARE_ABOVE_0,
    SHARE_BELOW_1,
    check,
)
from kerassl.resizing import check_image_size
from kerassl.types import Detections

pytestmark = pytest.mark.current_stack

NONE = (True, np.True_, math.nan, math.inf, -math.inf, 10**400, "x", "nan", "1e999", "", None, [1], 1j)
RANGES = [
    (COUNT, (1, 3.0, "7", np.int64(2), 2**31 - 1), (0, -1, 1.5, "1.0", 10**30), "give a whole number from 1 up"),
    (COUNT_OR_NONE, (0, 5), (-1, 0.5), "give a whole number from 0 up"),
    (SEED, (0, 2**32 - 1, np.uint32(7)), (-1, 2**32, 10**20, 0.5), "give a whole number from 0 to 4294967295"),
    (ABOVE_0, (1e-9, 3, "0.5", np.float32(2)), (0, -1), "give a number above 0"),
    (FROM_0, (0, 0.5), (-0.1,), "give a number from 0 up"),
    (SHARE, (0, 1, 0.5), (-0.1, 1.1), "give a number from 0 to 1"),
    (SHARE_ABOVE_0, (1, 0.1), (0, 1.1), "give a number above 0 and at most 1"),
    (SHARE_BELOW_1, (0, 0.99), (1, -0.1), "below 1"),
    (REAL, (-3, 1e30), (), "give a finite number"),
]


@pytest.mark.parametrize(("kind", "good", "bad", "accepted"), RANGES)
def test_range_accepts_its_numbers_and_says_so_when_given_others(kind, good, bad, accepted):
    assert [kind(value) for value in good] == [float(value) for value in good]
    assert accepted in kind.accepted
    for value in (*bad, *NONE):
        with pytest.raises(ValueError, match=r"^give a"):
            kind(value)


def test_message_is_short_when_the_number_is_long():
    for value in (10**5000, "9" * 5000):
        with pytest.raises(UserError, match=r"^seed is .{1,80}; give a whole number from 0 to 4294967295$"):
            check(seed=value)


CALLS = {
    "SimCLRViews": (lambda **own: augment.SimCLRViews(32, **own), {"seed": SEED, "strength": FROM_0}),
    "BoxAugmentation": (augment.BoxAugmentation, {"seed": SEED, "strength": FROM_0, "zoom": SHARE}),
    "scenes": (lambda **own: datasets.write_scenes("n", **{"train": 1, **own}), {"seed": SEED, "train": COUNT_OR_NONE}),
    "plot": (lambda **own: Detections([], [], []).plot(np.zeros([8, 8, 3]), **own), {"score_threshold": SHARE}),
    "InfoNCE": (losses.InfoNCE, {"temperature": ABOVE_0, "tile_size": COUNT}),
    "paired_bootstrap": (
        lambda **own: statistics.paired_bootstrap({"a": {"x": [0.5]}}, 1, **own), {"seed": SEED, "resamples": COUNT}
    ),
    "LinearProbe": (
        lambda **own: callbacks.LinearProbe("never", image_size=32, **own),
        {"seed": SEED, "every": COUNT, "batch_size": COUNT},
    ),
    "EMA": (callbacks.EMA, {"decay": SHARE_BELOW_1}),
    "Throughput": (lambda **own: callbacks.Throughput(**own), {"batch_size": COUNT}),
    "CollapseMonitor": (lambda **own: callbacks.CollapseMonitor(**own), {"batch_size": COUNT}),
    "error_kinds": (lambda **own: metrics.error_kinds({}, [], ["a"], **own), {"score_threshold": REAL}),
    "check_image_size": (lambda **own: check_image_size(*own.values()), {"size": COUNT}),
}  # fmt: skip


@pytest.mark.parametrize("call", CALLS)
def test_call_refuses_a_number_in_one_line_when_it_is_none_or_out_of_range(call):
    function, arguments = CALLS[call]
    for name, kind in arguments.items():
        for value in (math.nan, math.inf, 10**30, 2**32, -1, 1.5, True):
            if kind.fits(value):
                continue
            with pytest.raises(UserError) as caught:
                function(**{name: value})
            assert str(value)[:20] in str(caught.value), (name, value, str(caught.value))
            assert "\n" not in str(caught.value)


def test_largest_seed_draws_as_every_other_does(tiny_backbone, eagerly):
    import tensorflow as tf

    largest = 2**32 - 1
    images = tf.random.stateless_uniform([2, 64, 64, 3], [1, 2], maxval=255)
    views = augment.SimCLRViews(32, seed=largest)(images, [1, 2])
    assert np.isfinite(views.first).all()
    model = models.SimCLR(tiny_backbone(), 32, hidden_dim=4, projection_dim=4, seed=largest)
    model.compile("sgd")
    assert np.isfinite(model.fit(images, batch_size=2, verbose=0, shuffle=False).history["loss"]).all()
