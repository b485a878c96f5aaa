import keras
import numpy as np
import pytest
import tensorflow as tf

from kerassl import UserError, backbones
from kerassl.backbones import batch_norm


def test_stages_end_with_the_levels_and_hold_each_layer_once(tiny_backbone):
    backbone = tiny_backbone()
    stages = backbones.stages(backbone)
    assert {stage: layers[-1].name for stage, layers in stages.items()} == {
        "stem": "act2",
        "P3": "act3",
        "P4": "act4",
        "P5": "act5",
    }
    assert [layer for layers in stages.values() for layer in layers] == list(backbone.layers)


@pytest.mark.current_stack
@pytest.mark.parametrize("name", ["MobileNet", "MobileNetV3Small"])
def test_no_stage_needs_what_a_later_one_gives(name):
    backbone = backbones.build(name)
    stages, levels = backbones.stages(backbone), backbones.pyramid(backbone)
    for end, level in (("P3", "P3"), ("P4", "P4"), ("P5", "P5")):
        own = {layer.name for stage in list(stages)[: list(stages).index(end) + 1] for layer in stages[stage]}
        needed = keras.Model(backbone.input, backbone.get_layer(levels[level]).output)
        assert {layer.name for layer in needed.layers} <= own


def test_backbone_without_levels_is_refused():
    flat = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Conv2D(2, 3, name="one")])
    with pytest.raises(UserError, match="strides 4, 8, 16 and 32"):
        backbones.stages(flat)


@pytest.fixture
def images():
    return np.random.default_rng(0).uniform(0, 255, (10, 64, 64, 3)).astype("float32")


@pytest.mark.parametrize("kind", ["fast", "stock"])
def test_statistics_become_those_of_all_images(kind, tiny_backbone, stock_backbone, images):
    backbone = tiny_backbone() if kind == "fast" else stock_backbone()
    before = {layer.name: layer.get_weights() for layer in backbone.layers}
    batches = tf.data.Dataset.from_tensor_slices(images).batch(4)  # 4, 4 and 2 images
    assert backbones.reestimate_batch_norm(backbone, batches) == 10
    found = {layer.name: layer.get_weights() for layer in backbone.layers}
    inputs = keras.Model(backbone.input, [layer.input for layer in batch_norm.batch_norms(backbone)])
    seen = [[value.numpy() for value in inputs(part, training=True)] for part in np.split(images, [4, 8])]
    for number, layer in enumerate(batch_norm.batch_norms(backbone)):
        values = np.concatenate([part[number].reshape(-1, part[number].shape[-1]) for part in seen]).astype("float64")
        mean, variance = found[layer.name][2:]
        np.testing.assert_allclose(mean, values.mean(0), rtol=2e-4, atol=2e-4)
        # Keras 2.15's own layers measure with n - 1; the fewest values of a channel here are 2 x 2 of 2 images.
        rtol = 2e-4 if kind == "fast" else 0.15
        np.testing.assert_allclose(variance, values.var(0), rtol=rtol)
        for old, new in zip(before[layer.name][:2], found[layer.name][:2]):
            np.testing.assert_array_equal(new, old)
    np.testing.assert_array_equal(found["conv3"][0], before["conv3"][0])


def test_statistics_of_frozen_layers_stay_and_a_limit_of_steps_holds(tiny_backbone, images):
    backbone = tiny_backbone()
    backbone.get_layer("bn2").trainable = False
    batches = tf.data.Dataset.from_tensor_slices({"images": images}).batch(4)
    assert backbones.reestimate_batch_norm(backbone, batches, steps=2) == 8
    np.testing.assert_array_equal(backbone.get_layer("bn2").get_weights()[2], 0.0)
    assert np.abs(backbone.get_layer("bn1").get_weights()[2]).min() > 0
    assert backbones.freeze_batch_norm(backbone) == 5
    assert backbones.reestimate_batch_norm(backbone, batches) == 0


def test_statistics_stay_when_there_is_no_batch(tiny_backbone, images):
    backbone = tiny_backbone()
    with pytest.raises(UserError, match="no batch"):
        backbones.reestimate_batch_norm(backbone, tf.data.Dataset.from_tensor_slices(images).batch(4).take(0))
    np.testing.assert_array_equal(backbone.get_layer("bn1").get_weights()[3], 1.0)
