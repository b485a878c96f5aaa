"""Small models and batches for tests of training."""

import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf


@contextlib.contextmanager
def eager_steps():
    """Training steps run one operation after the other: of a few small ones the graph takes longer to make than to run.

    Not by `tf.config.run_functions_eagerly`, which would make the pipelines of images slower.
    """
    compiled = keras.Model.compile
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.Model, "compile", lambda *given, **own: compiled(*given, **{**own, "run_eagerly": True}))
        yield


@pytest.fixture
def eagerly():
    with eager_steps():
        yield


@pytest.fixture
def localizer(tiny_backbone):
    """Builds a small localizer: `localizer(optimizer=…)`, from the same random start each time."""
    from kerassl import detectors

    def build(**kwargs):
        keras.utils.set_random_seed(0)
        model = detectors.Localizer(tiny_backbone(), ["red", "blue"], 64, num_filters=8)
        model.compile(**kwargs)
        return model

    return build


@pytest.fixture(scope="session")
def labeled():
    """`labeled(count, batch_size)`: batches of noise with random boxes and classes."""

    def make(count=12, batch_size=4):
        rng = np.random.default_rng(0)
        corner = rng.uniform(0, 0.5, (count, 2))
        boxes = np.concatenate([corner, corner + 0.4], -1).astype("float32")
        targets = {"class": rng.integers(0, 2, count).astype("int32"), "box": boxes}
        images = rng.uniform(0, 255, (count, 64, 64, 3)).astype("float32")
        return tf.data.Dataset.from_tensor_slices((images, targets)).batch(batch_size)

    return make


@pytest.fixture
def classifier():
    """Builds the smallest network with batch normalization, from the same random start: `classifier(optimizer)`."""
    from kerassl import _compat

    def build(optimizer):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((64, 64, 3))
        x = keras.layers.Conv2D(4, 8, strides=8, name="conv")(inputs)
        x = keras.layers.BatchNormalization(momentum=0.9, name="bn")(x)
        x = keras.layers.Dense(2, name="class")(keras.layers.GlobalMaxPooling2D()(x))
        model = keras.Model(inputs, x)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizer, loss, jit_compile=False)
        _compat.build_addons_optimizer(model)
        return model

    return build


@pytest.fixture(scope="session")
def classed(labeled):
    """`labeled` with the classes alone."""
    return lambda *arguments: labeled(*arguments).map(lambda images, targets: (images, targets["class"]))
