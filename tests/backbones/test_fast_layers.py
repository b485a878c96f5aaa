import keras
import numpy as np
import pytest
import tensorflow as tf

from kerassl import backbones
from kerassl.backbones import FastBatchNormalization, FastSwish


def images(batch=4, size=32, dtype="float32", seed=0):
    return tf.constant(np.random.default_rng(seed).uniform(0, 255, (batch, size, size, 3)), dtype)


def test_fast_layers_equal_stock_layers_in_output_gradient_and_statistics(stock_backbone, compiled_kernels):
    stock = stock_backbone()
    fast = backbones.with_fast_layers(stock)
    assert sum(isinstance(layer, (FastBatchNormalization, FastSwish)) for layer in fast.layers) == 10
    x = images()
    results = []
    for model in (stock, fast):
        predicted = model(x, training=False)
        with tf.GradientTape() as tape:
            outputs = model(x, training=True)
            loss = tf.reduce_sum(outputs * tf.sin(tf.range(16.0)))
        gradients = tape.gradient(loss, model.trainable_variables)
        # Moving means alone: the fused kernel of Keras 2.15 keeps n / (n - 1) times the variance.
        moving = [v for layer in model.layers for v in layer.non_trainable_variables if "mean" in v.name]
        results.append([predicted, outputs, *gradients, *moving])
    for expected, value in zip(*results):
        expected, value = np.asarray(expected), np.asarray(value)
        assert np.linalg.norm(value - expected) <= 1e-4 * np.linalg.norm(expected)


def test_moving_variance_is_that_of_the_batch():
    layer = FastBatchNormalization(momentum=0.0)
    x = tf.random.stateless_normal([2, 3, 3, 4], [1, 2]) * 3 + 1
    layer(x, training=True)
    np.testing.assert_allclose(layer.moving_variance, np.var(x, axis=(0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(layer.moving_mean, np.mean(x, axis=(0, 1, 2)), rtol=1e-5)


def test_fused_and_plain_batch_norm_agree():
    x = tf.random.stateless_normal([4, 5, 5, 6], [3, 4]) * 2 + 5
    fused, plain = FastBatchNormalization(momentum=0.5), FastBatchNormalization(momentum=0.5)
    flat = tf.reshape(x, [-1, 6])
    np.testing.assert_allclose(
        tf.reshape(fused(x, training=True), [-1, 6]), plain(flat, training=True), rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(fused.moving_variance, plain.moving_variance, rtol=1e-5)
    np.testing.assert_allclose(tf.reshape(fused(x), [-1, 6]), plain(flat), rtol=1e-4, atol=1e-5)


def test_batch_norm_in_float64_has_digits_of_float64():
    layer = FastBatchNormalization(dtype="float64", momentum=0.0)
    x = tf.constant(np.random.default_rng(0).normal(1e4, 1, (4, 3, 3, 2)))
    y = layer(x, training=True)
    assert y.dtype == tf.float64
    expected = (x - np.mean(x, (0, 1, 2))) / np.sqrt(np.var(x, (0, 1, 2)) + layer.epsilon)
    np.testing.assert_allclose(y, expected, atol=1e-9)


def test_frozen_batch_norm_uses_and_keeps_its_statistics():
    layer = FastBatchNormalization()
    x = tf.ones([2, 2, 2, 3]) * 7
    layer.build(x.shape)
    layer.trainable = False
    np.testing.assert_allclose(layer(x, training=True), 7 / np.sqrt(1 + layer.epsilon) * np.ones(x.shape), rtol=1e-5)
    np.testing.assert_allclose(layer.moving_mean, 0)


@pytest.mark.parametrize(("replicas", "dtype", "close"), [(4, "float64", 1e-10), (2, "float32", 1e-4)])
def test_batch_norm_is_synchronized_over_replicas(mirrored, replicas, dtype, close):
    x = np.random.default_rng(1).normal(3, 2, (8, 2, 2, 5))
    weights = np.random.default_rng(2).normal(size=(8, 2, 2, 5))

    def run(count):
        strategy = mirrored(count)
        with strategy.scope():
            layer = FastBatchNormalization(dtype=dtype, momentum=0.9)
            layer.build((None, 2, 2, 5))

        def deal(array):
            parts = np.split(array, count)
            return strategy.experimental_distribute_values_from_function(
                lambda context: tf.constant(parts[context.replica_id_in_sync_group], dtype)
            )

        def step(part, weight):
            with tf.GradientTape() as tape:
                tape.watch(part)
                y = layer(part, training=True)
                loss = tf.reduce_sum(y * weight)
            inputs, gamma = tape.gradient(loss, [part, layer.trainable_variables[0]])
            context = tf.distribute.get_replica_context()
            return y, inputs, context.all_reduce("SUM", gamma)

        y, inputs, gamma = tf.function(lambda a, b: strategy.run(step, (a, b)))(deal(x), deal(weights))
        join = lambda values: np.concatenate([np.asarray(v) for v in strategy.experimental_local_results(values)])  # noqa: E731
        gamma = np.asarray(strategy.experimental_local_results(gamma)[0])
        return [join(y), join(inputs), gamma, *layer.get_weights()]

    for one, many in zip(run(1), run(replicas)):
        assert np.linalg.norm(many - one) <= close * np.linalg.norm(one) + close * 1e-2


def test_graph_for_prediction_holds_no_compiled_function(tiny_backbone):
    model = tiny_backbone()
    concrete = tf.function(lambda x: model(x, training=False)).get_concrete_function(tf.TensorSpec([None, 32, 32, 3]))
    assert "_XlaMustCompile" not in str(concrete.graph.as_graph_def())
    trained = tf.function(lambda x: model(x, training=True)).get_concrete_function(tf.TensorSpec([None, 32, 32, 3]))
    assert "_XlaMustCompile" in str(trained.graph.as_graph_def())  # the test can see one


def test_swish_gradient_equals_that_of_plain_swish(compiled_kernels):
    x = tf.linspace(-8.0, 8.0, 101)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        fast, plain = FastSwish()(x, training=True), keras.activations.get("swish")(x)
    np.testing.assert_allclose(fast, plain, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(tape.gradient(fast, x), tape.gradient(plain, x), rtol=1e-5, atol=1e-6)
