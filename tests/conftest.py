"""Common to all tests: four CPU devices for replica tests, and the smallest network with a pyramid."""

import functools
import gc
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # as the package itself does

from kerassl import _compat  # isort: skip
import keras
import pytest
import tensorflow as tf

from kerassl.backbones import fast_layers

pytest_plugins = ["data_fixtures", "detector_fixtures", "servable_fixtures", "training_fixtures"]

# Grappler takes a third of the first step of a detector, and tests run few steps of a graph.
tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 4
)

# Otherwise Python looks for garbage among all objects of TensorFlow and Keras, and of large graphs, again and again.
gc.set_threshold(20_000, 20, 20)


def _compiled_in_graphs(kernel):
    """A kernel as it is in a graph; eager steps, which are those of tests alone, would compile it for every shape."""

    @functools.wraps(kernel.python_function)
    def run(*tensors):
        return (kernel.python_function if tf.executing_eagerly() else kernel)(*tensors)

    return run


_KERNELS = {name: getattr(fast_layers, name) for name in dir(fast_layers) if name.endswith(("_forward", "_backward"))}
for _name, _kernel in _KERNELS.items():
    setattr(fast_layers, _name, _compiled_in_graphs(_kernel))


def _tiny_backbone(width=8, name="tiny", batch_norm=True):
    """A flat network with feature maps of strides 8, 16 and 32; `width` channels at stride 8, twice that after it."""
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1, name="rescaling")(inputs)
    for level, channels in enumerate([width, width, width, 2 * width, 2 * width], start=1):
        x = keras.layers.Conv2D(channels, 3, strides=2, padding="same", use_bias=False, name=f"conv{level}")(x)
        if batch_norm:
            x = keras.layers.BatchNormalization(momentum=0.9, name=f"bn{level}")(x)
        x = keras.layers.Activation("swish", name=f"act{level}")(x)
    return keras.Model(inputs, x, name=name)


def pytest_collection_finish():
    gc.collect()
    gc.freeze()  # what is imported stays


def pytest_collection_modifyitems(items):
    other = "addons_stack" if _compat.KERAS_3 else "current_stack"
    for item in items:
        if item.get_closest_marker(other):
            item.add_marker(pytest.mark.skip(reason=f"marked {other}"))


@pytest.fixture(scope="session")
def tiny_backbone():
    """Builds such a network, with the fast layers: `tiny_backbone(width=8)`."""
    from kerassl import backbones

    def build(width=8, name="tiny", batch_norm=True):
        return backbones.with_fast_layers(_tiny_backbone(width, name, batch_norm))

    return build


@pytest.fixture
def compiled_kernels(monkeypatch):
    """The compiled kernels in eager steps too."""
    for name, kernel in _KERNELS.items():
        monkeypatch.setattr(fast_layers, name, kernel)


@pytest.fixture
def stock_backbone():
    """The same with Keras's own layers."""
    return _tiny_backbone


@pytest.fixture
def mirrored():
    """`mirrored(replicas, eagerly=False)`: a `MirroredStrategy` over that many CPU devices.

    Strategies of one process number their collective calls alike, and TensorFlow takes those of the second for calls
    of the first; it has this base for tests. Collective calls need a graph: eager steps add up on one device.
    """

    def strategy(replicas, eagerly=False):
        tf.distribute.MirroredStrategy._collective_key_base += 1_000_000
        reduction = tf.distribute.ReductionToOneDevice() if eagerly else None
        return tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(replicas)], cross_device_ops=reduction)

    return strategy


@pytest.fixture(scope="session")
def real_data():
    """The folder of real images, or a skipped test."""
    folder = os.environ.get("KERASSL_REAL_DATA")
    if not folder:
        pytest.skip("KERASSL_REAL_DATA is not set")
    return pathlib.Path(folder)
