import keras
import numpy as np
import pytest
import tensorflow as tf

from kerassl import UserError
from kerassl.explain import insertion_deletion

LEFT = np.zeros([16, 16, 3], "float32")
LEFT[:, :8] = 200


@pytest.fixture(scope="module")
def model():
    """Class 0 is the brightness of the left half, class 1 is nothing."""
    inputs = keras.Input((16, 16, 3))
    weights = np.zeros([16 * 16 * 3, 2], "float32")
    weights.reshape(16, 16, 3, 2)[:, :8, :, 0] = 4 / 200 / 384
    flat = keras.layers.Flatten()(inputs)
    layer = keras.layers.Dense(2, use_bias=False, kernel_initializer=lambda *_, **__: tf.constant(weights))
    return keras.Model(inputs, layer(flat))


def sigmoid(x):
    return 1 / (1 + np.exp(-np.asarray(x)))


def test_metrics_are_those_worked_by_hand(model):
    heatmaps = (LEFT[None, ..., 0] / 200).astype("float32")
    found = insertion_deletion(model, LEFT, heatmaps, 0, steps=4, batch_size=3)
    # Deletion: the left half turns to the mean, 100, in the first two steps; then the right half, which is not asked.
    logits = [4, 3, 2, 2, 2]
    assert found["deletion"][0] == pytest.approx(sigmoid(logits).mean(), abs=1e-5)
    # Insertion: blurred to 16 x 16, an image of 16 pixels is itself already.
    assert found["insertion"][0] == pytest.approx(sigmoid(4), abs=1e-5)
    worse = insertion_deletion(model, LEFT, 1 - heatmaps, 0, steps=4)
    assert worse["deletion"][0] == pytest.approx(sigmoid([4, 4, 4, 3, 2]).mean(), abs=1e-5)
    other = insertion_deletion(model, LEFT, heatmaps, 1, steps=4)
    assert other["deletion"][0] == pytest.approx(1 - found["deletion"][0], abs=1e-5)


def test_insertion_is_higher_and_deletion_lower_when_the_heatmap_is_right(tiny_backbone):
    keras.utils.set_random_seed(0)
    draw = np.random.default_rng(0)
    inputs = keras.Input((64, 64, 3))
    edges = keras.layers.Conv2D(
        1, 2, use_bias=False, kernel_initializer=lambda *_, **__: tf.reshape(
            tf.constant([[1.0, -1], [-1, 1]]), [2, 2, 1, 1]) * tf.ones([1, 1, 3, 1]) / 600,
    )(inputs)  # fmt: skip
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Activation("relu")(edges))
    logits = keras.layers.Dense(2, kernel_initializer=lambda *_, **__: tf.constant([[10.0, 0]]), use_bias=False)(pooled)
    model = keras.Model(inputs, logits)
    image = np.full([64, 64, 3], 120, "float32")
    image[8:40, 8:40] = draw.choice([0.0, 255.0], [32, 32, 1])
    heatmaps = np.zeros([1, 64, 64], "float32")
    heatmaps[0, 8:40, 8:40] = 1
    right, wrong = (insertion_deletion(model, image, h, 0)["insertion"][0] for h in (heatmaps, heatmaps[:, ::-1, ::-1]))
    assert right > wrong + 0.05


def test_input_is_refused_in_one_line_when_invalid(model):
    with pytest.raises(UserError, match=r"heatmaps are \(1, 8, 8\); the images ask for \(1, 16, 16\)"):
        insertion_deletion(model, LEFT, np.zeros([1, 8, 8]), 0)
    with pytest.raises(UserError, match="class_id is None"):
        insertion_deletion(model, LEFT, np.zeros([1, 16, 16]), None)
