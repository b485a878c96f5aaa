"""A training step by the fast layers is that of Keras's own, for every family."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerassl import _compat, backbones
from kerassl.backbones import weights as backbone_weights

FAST = (
    backbones.FastBatchNormalization,
    backbones.FastDepthwiseConv2D,
    backbones.FastHardSwish,
    backbones.FastPointwiseConv2D,
    backbones.FastSwish,
)
KINDS = {
    "EfficientNetB0": {"FastBatchNormalization", "FastDepthwiseConv2D", "FastPointwiseConv2D", "FastSwish"},
    "MobileNet": {"FastBatchNormalization", "FastPointwiseConv2D"},
    "MobileNetV2": {"FastBatchNormalization", "FastPointwiseConv2D"},
    "MobileNetV3Small": {"FastBatchNormalization", "FastDepthwiseConv2D", "FastHardSwish", "FastPointwiseConv2D"},
    "ResNet50": {"FastBatchNormalization", "FastPointwiseConv2D"},
}

IMAGES = np.random.default_rng(0).uniform(0, 255, (4, 64, 64, 3))


@pytest.fixture
def precision():
    """`precision("float64")` sets Keras's policy; the one before is set again after the test."""
    before = keras.mixed_precision.global_policy()
    yield keras.mixed_precision.set_global_policy
    keras.mixed_precision.set_global_policy(before)


def training_step(model, images):
    """Features, the whole gradient, moving means and moving variances, each in one row."""

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            outputs = model(images, training=True)
            weights = tf.sin(tf.cast(tf.range(tf.size(outputs)), outputs.dtype))
            loss = tf.reduce_sum(tf.reshape(outputs, [-1]) * weights)
        return outputs, tape.gradient(loss, model.trainable_variables)

    outputs, gradients = step()
    moving = [
        [v for name, v in backbone_weights.table(model).items() if kind in name] for kind in ("_mean", "_variance")
    ]
    return [np.concatenate([np.ravel(np.asarray(item)) for item in part]) for part in ([outputs], gradients, *moving)]


def twins(name, dtype):
    stock = backbones.with_keras_layers(backbones.build(name))
    return stock, backbones.with_fast_layers(stock), tf.constant(IMAGES, dtype)


# Beside Keras 2.15 the one with the most layers of our own; the others are made of the same.
@pytest.mark.slow
@pytest.mark.parametrize("name", list(KINDS) if _compat.KERAS_3 else ["MobileNetV3Small"])
def test_step_of_fast_family_equals_that_of_stock_layers(name, precision):
    keras.utils.set_random_seed(0)
    stock, fast, images = twins(name, "float32")
    assert {type(layer).__name__ for layer in fast.layers if isinstance(layer, FAST)} == KINDS[name]
    assert not any("kerassl" in type(layer).__module__ for layer in stock.layers)
    assert not any(type(layer) is keras.layers.BatchNormalization for layer in fast.layers)
    start = fast.get_weights()
    narrow_stock, narrow_fast = training_step(stock, images), training_step(fast, images)
    precision("float64")
    stock, fast, images = twins(name, "float64")
    stock.set_weights(start), fast.set_weights(start)
    wide_stock, wide_fast = training_step(stock, images), training_step(fast, images)
    for number, (exact, wide, fast, stock) in enumerate(zip(wide_stock, wide_fast, narrow_fast, narrow_stock)):
        norm = np.linalg.norm(exact)
        assert exact.shape == fast.shape
        assert norm > 0
        # Keras 2.15 keeps the momentum of the moving statistics in float32.
        assert np.linalg.norm(wide - exact) <= (1e-10 if number < 2 else 1e-7) * norm
        if number == 3 and not _compat.KERAS_3:
            continue  # the fused kernel of Keras 2.15 keeps n / (n - 1) times the batch's variance
        # Where relu has its kinks, rounding in float32 turns single gradients on or off, in Keras's own layers as well.
        assert np.linalg.norm(fast - exact) <= max(1e-4 * norm, 2 * np.linalg.norm(stock - exact))
