import keras
import numpy as np
import pytest
import tensorflow as tf

from kerassl import backbones


def gradients(layer, x, weights):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=True)
        loss = tf.reduce_sum(y * weights(y.shape))
    return y, *tape.gradient(loss, [x, *layer.trainable_variables])


def assert_equal_to_stock(stock, fast, x):
    weights = lambda shape: tf.random.stateless_normal(shape, [5, 6], dtype=x.dtype)  # noqa: E731
    stock.set_weights([np.random.default_rng(n).normal(size=w.shape) for n, w in enumerate(stock.get_weights())])
    fast.set_weights(stock.get_weights())
    np.testing.assert_array_equal(fast(x, training=False), stock(x))
    plain = lambda x, training: stock(x)  # noqa: E731
    plain.trainable_variables = stock.trainable_variables
    for expected, value in zip(gradients(plain, x, weights), gradients(fast, x, weights)):
        expected, value = np.asarray(expected), np.asarray(value)
        assert expected.shape == value.shape
        assert np.linalg.norm(expected) > 0
        assert np.linalg.norm(value - expected) <= 1e-5 * np.linalg.norm(expected)


def swapped(layer, x):
    """Return the layer that `backbones.with_fast_layers` replaces another with."""
    inputs = keras.Input(x.shape[1:])
    return backbones.with_fast_layers(keras.Model(inputs, layer(inputs))).layers[-1]


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [(5, 1, "same"), (5, 1, "valid"), (5, 2, "valid"), ((3, 5), 1, "same")]
)
@pytest.mark.parametrize("size", [(8, 8), (11, 7), (5, 12)])
@pytest.mark.parametrize("use_bias", [False, True])
def test_wide_depthwise_equals_stock_in_output_and_gradients(kernel, stride, padding, size, use_bias):
    x = tf.random.stateless_normal([3, *size, 6], [1, 2])
    stock = keras.layers.DepthwiseConv2D(kernel, stride, padding, use_bias=use_bias, activation="tanh")
    fast = swapped(stock, x)
    assert isinstance(fast, backbones.FastDepthwiseConv2D)
    assert_equal_to_stock(stock, fast, x)


@pytest.mark.parametrize("activation", [None, "swish"])
def test_pointwise_equals_stock_in_output_and_gradients(activation):
    x = tf.random.stateless_normal([3, 4, 5, 6], [3, 4])
    stock = keras.layers.Conv2D(7, 1, activation=activation)
    fast = swapped(stock, x)
    assert isinstance(fast, backbones.FastPointwiseConv2D)
    assert_equal_to_stock(stock, fast, x)


@pytest.mark.parametrize(
    "layer",
    [
        keras.layers.DepthwiseConv2D(3),
        keras.layers.DepthwiseConv2D(5, 2, "same"),
        keras.layers.DepthwiseConv2D(5, depth_multiplier=2),
        keras.layers.DepthwiseConv2D(5, dilation_rate=2),
        keras.layers.Conv2D(4, 3),
        keras.layers.Conv2D(4, 1, 2),
        keras.layers.Conv2D(4, 1, groups=2),
    ],
)
def test_other_convolutions_are_left_as_they_are(layer):
    assert type(swapped(layer, tf.zeros([1, 16, 16, 4]))) is type(layer)


def test_sizes_may_be_unknown_while_training():
    layers = [keras.layers.DepthwiseConv2D(5, padding="same"), keras.layers.Conv2D(4, 1)]
    inputs = keras.Input((None, None, 6))
    fast = backbones.with_fast_layers(keras.Model(inputs, layers[1](layers[0](inputs))))

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 6])])
    def step(x):
        with tf.GradientTape() as tape:
            y = fast(x, training=True)
            loss = tf.reduce_sum(y * y)
        return tape.gradient(loss, fast.trainable_variables)

    x = tf.random.stateless_normal([2, 9, 6, 6], [7, 8])
    with tf.GradientTape() as tape:
        y = layers[1](layers[0](x))
        loss = tf.reduce_sum(y * y)
    for layer, twin in zip(layers, fast.layers[1:]):
        twin.set_weights(layer.get_weights())
    for expected, value in zip(tape.gradient(loss, [w for layer in layers for w in layer.trainable_weights]), step(x)):
        np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-4)


def test_hard_swish_from_the_gate_equals_that_from_its_input(compiled_kernels):
    x = tf.linspace(-5.0, 5.0, 101) + 0.013
    gate = tf.nn.relu6(x + 3) / 6
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        fast = backbones.FastHardSwish()([x, gate], training=True)
        plain = x * tf.nn.relu6(x + 3) / 6
    np.testing.assert_allclose(fast, plain, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(backbones.FastHardSwish()([x, gate]), plain, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(tape.gradient(fast, x), tape.gradient(plain, x), rtol=1e-5, atol=1e-6)
