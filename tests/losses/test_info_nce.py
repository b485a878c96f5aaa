import math
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from kerassl import UserError
from kerassl.losses import InfoNCE


def plain_loop(first, second, temperature, decoupled):
    """Equation 1 of the SimCLR paper, one view and one negative at a time."""
    views = [row / np.linalg.norm(row) for row in np.concatenate([first, second]).astype("float64")]
    images = len(first)
    total = 0.0
    for i, anchor in enumerate(views):
        other = (i + images) % (2 * images)
        positive = math.exp(float(anchor @ views[other]) / temperature)
        denominator = 0.0 if decoupled else positive
        for k, negative in enumerate(views):
            if k not in (i, other):
                denominator += math.exp(float(anchor @ negative) / temperature)
        total += -math.log(positive / denominator)
    return total / (2 * images)


def embeddings(images, dimensions=16, seed=0):
    random = np.random.default_rng(seed)
    first = random.normal(size=(images, dimensions))
    return first, first + random.normal(size=(images, dimensions))


@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("float64", 1e-12)])
@pytest.mark.parametrize("images", [2, 7, 32])
def test_loss_equals_plain_loop(images, dtype, tolerance, decoupled):
    first, second = embeddings(images)
    loss = InfoNCE(temperature=0.2, decoupled=decoupled, dtype=dtype)
    value = loss(tf.constant(first, dtype), tf.constant(second, dtype))
    assert value.dtype == dtype
    np.testing.assert_allclose(value, plain_loop(first, second, 0.2, decoupled), rtol=tolerance)


@pytest.mark.current_stack
@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("tile_size", [1, 5, 14])  # of 14 views
def test_tiles_give_the_loss_the_gradient_and_the_accuracy_of_the_whole(tile_size, decoupled):
    views = [tf.Variable(view) for view in embeddings(7)]

    def found(tile_size):
        with tf.GradientTape() as tape:
            contrast = InfoNCE(0.2, decoupled, tile_size, dtype="float64").contrast(*views)
        return [contrast.loss, contrast.accuracy, *tape.gradient(contrast.loss, views)]

    for whole, tiled in zip(found(None), tf.function(found)(tile_size)):
        np.testing.assert_allclose(tiled, whole, rtol=1e-12, atol=1e-15)


@pytest.mark.slow  # a process of its own, which takes a gigabyte
@pytest.mark.current_stack
def test_tiles_hold_a_batch_of_4096_images_in_a_gigabyte():
    code = """
import re
import tensorflow as tf
from kerassl.losses import InfoNCE

@tf.function
def step(first, second):
    with tf.GradientTape() as tape:
        tape.watch([first, second])
        loss = InfoNCE(0.1, tile_size=512)(first, second)
    return loss, tape.gradient(loss, [first, second])

first = tf.random.stateless_normal([4096, 128], [0, 1])
loss, gradients = step(first, first + tf.random.stateless_normal([4096, 128], [0, 2]))
# Not getrusage: its peak counts that of the process from which this one was started.
peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) / 2**20
print(float(loss), peak, *map(float, map(tf.norm, gradients)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr[-2000:]
    loss, gibibytes, *norms = map(float, done.stdout.split())
    assert 0 < loss < math.log(2 * 4096 - 1)
    assert gibibytes < 1  # TensorFlow itself among it; without tiles it is 1.5
    assert min(norms) > 0


@pytest.mark.current_stack
def test_accuracy_counts_views_that_are_most_like_their_other_view():
    first = np.eye(4)
    second = first[[0, 1, 3, 2]]  # the others of two images are changed round
    accuracy = InfoNCE(0.1, dtype="float64").contrast(tf.constant(first), tf.constant(second)).accuracy
    assert float(accuracy) == 0.5


@pytest.mark.current_stack
@pytest.mark.parametrize(("decoupled", "choices"), [(False, 15), (True, 14)])
def test_loss_is_log_of_choices_when_embeddings_are_identical(decoupled, choices):
    same = tf.ones([8, 4])
    assert float(InfoNCE(0.1, decoupled)(same, same)) == pytest.approx(math.log(choices), rel=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_loss_is_finite_float32_when_embeddings_are_half_precision(dtype):
    first, second = embeddings(16)
    first, second = tf.Variable(tf.cast(first * 100, dtype)), tf.Variable(tf.cast(second * 100, dtype))
    with tf.GradientTape() as tape:
        value = InfoNCE(temperature=0.01, dtype="float32")(first, second)
    assert value.dtype == tf.float32
    assert np.isfinite(float(value))
    for gradient in tape.gradient(value, [first, second]):
        assert np.all(np.isfinite(tf.cast(gradient, tf.float32)))


def under_replicas(strategy, dtype, decoupled, sizes, tile_size=None):
    """Loss and gradients with the batch dealt to replicas, each holding its own `sizes[r]` images."""
    first, second = embeddings(sum(sizes))
    starts = np.cumsum([0, *sizes])
    with strategy.scope():
        weight = tf.Variable(np.eye(16), dtype=dtype)
    loss = InfoNCE(0.2, decoupled, tile_size, dtype=dtype)

    def deal(array):
        parts = [tf.constant(array[starts[r] : starts[r + 1]], dtype) for r in range(len(sizes))]
        return strategy.experimental_distribute_values_from_function(
            lambda context: parts[context.replica_id_in_sync_group]
        )

    def step(one, two):
        with tf.GradientTape() as tape:
            value = loss(tf.matmul(one, weight), tf.matmul(two, weight))
        gradient = tape.gradient(value, weight)
        context = tf.distribute.get_replica_context()
        return context.all_reduce("SUM", value), context.all_reduce("SUM", gradient)

    value, gradient = tf.function(lambda one, two: strategy.run(step, (one, two)))(deal(first), deal(second))
    return [np.asarray(strategy.experimental_local_results(part)[0]) for part in (value, gradient)]


@pytest.fixture(scope="module")
def on_one_replica():
    """Loss and gradient of twelve images on one replica, by type and `decoupled`, once each."""
    return {}


@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize(
    ("sizes", "dtype", "loss_close", "close"),
    [
        ((4, 3, 3, 2), "float64", 1e-12, 1e-10),
        ((7, 5), "float32", 1e-6, 1e-4),
    ],
)
def test_replicas_add_up_to_one_replica_in_loss_and_gradient(
    mirrored, on_one_replica, sizes, dtype, loss_close, close, decoupled
):
    tile_size = 4 if decoupled else None
    value, gradient = under_replicas(mirrored(len(sizes)), dtype, decoupled, sizes, tile_size)
    if (dtype, decoupled) not in on_one_replica:
        on_one_replica[dtype, decoupled] = under_replicas(mirrored(1), dtype, decoupled, [12])
    expected, expected_gradient = on_one_replica[dtype, decoupled]
    np.testing.assert_allclose(value, expected, rtol=loss_close)
    assert np.linalg.norm(gradient - expected_gradient) <= close * np.linalg.norm(expected_gradient)


@pytest.mark.current_stack
@pytest.mark.parametrize(
    ("first", "second", "message"),
    [([1, 4], [1, 4], "batch of 1"), ([4, 4], [4, 5], "shapes"), ([4, 4, 4], [4, 4, 4], "shapes")],
)
def test_loss_is_refused_when_shapes_make_no_contrast(first, second, message):
    with pytest.raises(UserError, match=message):
        InfoNCE()(tf.ones(first), tf.ones(second))


@pytest.mark.current_stack
def test_loss_is_refused_when_tile_is_empty():
    with pytest.raises(UserError, match="tile_size is 0"):
        InfoNCE(tile_size=0)


@pytest.mark.current_stack
@pytest.mark.parametrize("temperature", [0, -0.1])
def test_loss_is_refused_when_temperature_is_not_positive(temperature):
    with pytest.raises(UserError, match="temperature"):
        InfoNCE(temperature)


@pytest.mark.current_stack
def test_config_restores_loss():
    loss = InfoNCE(0.3, decoupled=True, dtype="float64")
    assert InfoNCE.from_config(loss.get_config()).get_config() == loss.get_config()


@pytest.mark.current_stack
@pytest.mark.parametrize("decoupled", [False, True])
def test_loss_and_gradient_are_0_when_the_whole_batch_is_one_image(decoupled, mirrored):
    value, gradient = under_replicas(mirrored(3), "float64", decoupled, [0, 1, 0])
    assert value == 0
    np.testing.assert_array_equal(gradient, np.zeros_like(gradient))
