import keras
import numpy as np
import pytest
import tensorflow as tf

from kerassl import models
from kerassl.augment import SimCLRViews

LABELS = tf.constant([0, 1, 0, 1, 1, 1, 0, 0])


def photos(size=40):
    """Reddish ones of class 0 and bluish ones of class 1."""
    noise = np.random.default_rng(0).uniform(0, 100, (len(LABELS), size, size, 3))
    color = np.where(LABELS.numpy()[:, None] == 0, [[150, 0, 0]], [[0, 0, 150]])
    return tf.constant(noise + color[:, None, None], tf.float32)


def model_of(backbone):
    views = SimCLRViews(32, scale=(0.3, 1.0), strength=0.3, grayscale=0.0)
    return models.ViewClassifier(backbone, ("red", "blue"), 32, augmentation=views)


def test_classes_of_both_views_are_learned(tiny_backbone):
    keras.utils.set_random_seed(0)
    model = model_of(tiny_backbone())
    model.compile(keras.optimizers.Adam(0.01))
    history = model.fit(tf.data.Dataset.from_tensors((photos(), LABELS)).repeat(20), epochs=2, verbose=0).history
    assert history["accuracy"][-1] > 0.9
    assert history["loss"][-1] < 0.6 * np.log(2)


@pytest.mark.current_stack
def test_replicas_give_the_loss_and_the_weights_of_one(tiny_backbone, mirrored):
    begun = tiny_backbone(batch_norm=False)
    found = []
    for strategy in (tf.distribute.get_strategy(), mirrored(2, eagerly=True)):
        with strategy.scope():
            keras.utils.set_random_seed(0)
            backbone = tiny_backbone(batch_norm=False)
            backbone.set_weights(begun.get_weights())
            model = model_of(backbone)
            model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)  # graphs take seconds to build
        data = tf.data.Dataset.from_tensor_slices((photos(), LABELS)).take(7).batch(8)
        logs = model.fit(data, epochs=1, verbose=0).history
        found.append((logs["loss"][0], logs["accuracy"][0], model.get_weights()))
    (loss, accuracy, weights), (other_loss, other_accuracy, other_weights) = found
    assert other_loss == pytest.approx(loss, rel=1e-5)
    assert other_accuracy == pytest.approx(accuracy, abs=1e-6)
    for one, other in zip(weights, other_weights):
        np.testing.assert_allclose(other, one, atol=1e-5)
