"""Dense contrast against loops over images, locations and negatives, in tiles, and dealt to replicas."""

import math

import numpy as np
import pytest
import tensorflow as tf

from kerassl import UserError
from kerassl.losses import dense_info_nce


def plain_loop(anchors, keys, valid, temperature, places=None):
    """One image, one location and one negative at a time."""
    losses, right = [], []

    def far(image, location, other, place):
        if image != other:
            return True
        return places is not None and math.dist(places[image][location], places[other][place]) > 1

    def similarity(one, other):
        return float(one @ other) / math.sqrt(float(one @ one) * float(other @ other)) / temperature

    for image in range(len(anchors)):
        for location in range(len(anchors[image])):
            if not valid[image][location]:
                continue
            positive = similarity(anchors[image][location], keys[image][location])
            negatives = [
                similarity(anchors[image][location], keys[other][place])
                for other in range(len(keys))
                for place in range(len(keys[other]))
                if far(image, location, other, place) and valid[other][place]
            ]
            losses.append(-math.log(math.exp(positive) / (math.exp(positive) + sum(map(math.exp, negatives)))))
            right.append(all(positive > negative for negative in negatives))
    return np.mean(losses), np.mean(right)


def locations(images, pairs=5, dimensions=6, seed=0):
    random = np.random.default_rng(seed)
    anchors = random.normal(size=(images, pairs, dimensions))
    return anchors, anchors + random.normal(size=anchors.shape), random.random((images, pairs)) < 0.7


def places_of(images, pairs=5, seed=1):
    return np.random.default_rng(seed).uniform(0, 2, (images, pairs, 2))


@pytest.mark.parametrize("within", [False, True])
@pytest.mark.parametrize("tile_size", [None, 4])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("float64", 1e-12)])
@pytest.mark.parametrize("images", [2, 7])
def test_loss_and_accuracy_are_those_of_plain_loops(images, dtype, tolerance, tile_size, within):
    anchors, keys, valid = locations(images)
    assert 0 < valid.sum() < valid.size
    places = places_of(images) if within else None
    found = dense_info_nce(
        tf.constant(anchors, dtype), tf.constant(keys, dtype), tf.constant(valid), 0.2, tile_size, places
    )
    assert found.loss.dtype == dtype
    expected = plain_loop(anchors, keys, valid, 0.2, places)
    np.testing.assert_allclose(found, expected, rtol=tolerance)
    if within:
        assert expected[0] > plain_loop(anchors, keys, valid, 0.2)[0]


@pytest.mark.current_stack
@pytest.mark.parametrize("tile_size", [None, 7])
def test_gradient_is_that_of_finite_differences_of_plain_loops(tile_size):
    anchors, keys, valid = locations(4)
    variables = [tf.Variable(anchors), tf.Variable(keys)]
    with tf.GradientTape() as tape:
        loss = dense_info_nce(*variables, tf.constant(valid), 0.3, tile_size).loss
    gradients = tape.gradient(loss, variables)
    random, step = np.random.default_rng(1), 1e-5
    for _ in range(5):
        ways = [random.normal(size=anchors.shape) for _ in range(2)]
        ends = [
            plain_loop(anchors + sign * step * ways[0], keys + sign * step * ways[1], valid, 0.3)[0] for sign in (1, -1)
        ]
        slope = sum(float(np.sum(gradient * way)) for gradient, way in zip(gradients, ways))
        assert slope == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-6, abs=1e-9)
    for gradient in gradients:
        assert not np.any(gradient.numpy()[~valid])


@pytest.mark.current_stack
@pytest.mark.parametrize(
    ("tile_size", "images", "places"), [(1, 2, None), (8, 7, places_of(7)), (35, 7, None)]
)  # 5 locations an image
def test_tiles_give_loss_gradient_and_accuracy_of_the_whole(tile_size, images, places):
    *views, valid = locations(images)
    views = [tf.Variable(view) for view in views]

    def found(tile_size):
        with tf.GradientTape() as tape:
            contrast = dense_info_nce(*views, tf.constant(valid), 0.2, tile_size, places)
        return [*contrast, *tape.gradient(contrast.loss, views)]

    for whole, tiled in zip(found(None), tf.function(found)(tile_size)):
        np.testing.assert_allclose(tiled, whole, rtol=1e-12, atol=1e-15)


@pytest.mark.current_stack
def test_loss_is_log_of_choices_when_all_locations_are_identical():
    same = tf.ones([3, 4, 8])
    assert float(dense_info_nce(same, same, tf.ones([3, 4], tf.bool)).loss) == pytest.approx(math.log(9), rel=1e-6)
    valid = tf.constant([[True] * 4, [True, False, False, False], [False] * 4])
    # Four anchors with one negative, one with four.
    expected = (4 * math.log(2) + math.log(5)) / 5
    assert float(dense_info_nce(same, same, valid).loss) == pytest.approx(expected, rel=1e-6)


@pytest.mark.current_stack
@pytest.mark.parametrize("shown", ["none", "one image"])
def test_loss_and_gradients_are_0_when_no_location_has_a_negative(shown):
    anchors, keys, valid = locations(3)
    valid &= np.array([[shown == "one image"], [False], [False]])
    views = [tf.Variable(anchors, dtype=tf.float32), tf.Variable(keys, dtype=tf.float32)]
    with tf.GradientTape() as tape:
        loss = dense_info_nce(*views, tf.constant(valid), 0.01).loss
    assert float(loss) == 0
    for gradient in tape.gradient(loss, views):
        np.testing.assert_array_equal(gradient, np.zeros_like(gradient))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_loss_is_finite_float32_when_embeddings_are_half_precision(dtype):
    anchors, keys, valid = locations(4)
    views = [tf.Variable(tf.cast(each * 100, dtype)) for each in (anchors, keys)]
    with tf.GradientTape() as tape:
        loss = dense_info_nce(*views, tf.constant(valid), 0.01).loss
    assert loss.dtype == tf.float32
    assert np.isfinite(float(loss))
    for gradient in tape.gradient(loss, views):
        assert np.all(np.isfinite(tf.cast(gradient, tf.float32)))


def under_replicas(strategy, dtype, sizes, tile_size=None):
    """Loss, accuracy and gradient with the batch dealt to replicas, each holding its own `sizes[r]` images."""
    starts, arrays = np.cumsum([0, *sizes]), (*locations(sum(sizes)), places_of(sum(sizes)))
    with strategy.scope():
        weight = tf.Variable(np.eye(6), dtype=dtype)

    def deal(array, dtype):
        parts = [tf.constant(array[starts[r] : starts[r + 1]], dtype) for r in range(len(sizes))]
        return strategy.experimental_distribute_values_from_function(
            lambda context: parts[context.replica_id_in_sync_group]
        )

    def step(anchors, keys, valid, places):
        with tf.GradientTape() as tape:
            found = dense_info_nce(
                tf.tensordot(anchors, weight, 1), tf.tensordot(keys, weight, 1), valid, 0.2, tile_size, places
            )
        context = tf.distribute.get_replica_context()
        return [context.all_reduce("SUM", each) for each in (*found, tape.gradient(found.loss, weight))]

    dealt = [deal(array, kind) for array, kind in zip(arrays, (dtype, dtype, tf.bool, tf.float32))]
    found = tf.function(lambda *parts: strategy.run(step, parts))(*dealt)
    return [np.asarray(strategy.experimental_local_results(part)[0]) for part in found]


@pytest.fixture(scope="module")
def on_one_replica():
    """Loss, accuracy and gradient of seven images on one replica, by type, once each."""
    return {}


@pytest.mark.parametrize(
    ("sizes", "tile_size", "dtype", "loss_close", "close"),
    [
        ((2, 2, 2, 1), 4, "float64", 1e-12, 1e-10),
        ((4, 0, 3, 0), None, "float64", 1e-12, 1e-10),
        ((7, 0), 3, "float32", 1e-6, 1e-4),
    ],
)
def test_replicas_add_up_to_one_in_loss_accuracy_and_gradient(
    mirrored, on_one_replica, sizes, tile_size, dtype, loss_close, close
):
    *figures, gradient = under_replicas(mirrored(len(sizes)), dtype, sizes, tile_size)
    if dtype not in on_one_replica:
        on_one_replica[dtype] = under_replicas(mirrored(1), dtype, [7])
    *expected, expected_gradient = on_one_replica[dtype]
    np.testing.assert_allclose(figures, expected, rtol=loss_close)
    assert np.linalg.norm(gradient - expected_gradient) <= close * np.linalg.norm(expected_gradient)


@pytest.mark.current_stack
@pytest.mark.parametrize(
    ("anchors", "keys", "valid", "message"),
    [
        ([4, 8], [4, 8], [4], "must be"),
        ([4, 3, 8], [4, 3, 7], [4, 3], "must be"),
        ([4, 3, 8], [4, 3, 8], [4], "must be"),
    ],
)
def test_loss_is_refused_when_shapes_make_no_pairs(anchors, keys, valid, message):
    with pytest.raises(UserError, match=message):
        dense_info_nce(tf.ones(anchors), tf.ones(keys), tf.ones(valid, tf.bool))


@pytest.mark.current_stack
@pytest.mark.parametrize(
    ("settings", "message"), [({"temperature": 0}, "temperature is 0"), ({"tile_size": 0}, "tile")]
)
def test_loss_is_refused_when_number_is_not_positive(settings, message):
    with pytest.raises(UserError, match=message):
        dense_info_nce(tf.ones([2, 1, 2]), tf.ones([2, 1, 2]), tf.ones([2, 1], tf.bool), **settings)
