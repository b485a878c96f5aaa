import math
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerassl
from kerassl import UserError, backbones
from kerassl.augment import SimCLRViews, Views
from kerassl.losses import InfoNCE
from kerassl.optimizers import LARS


def photographs(count=8, size=40, seed=0):
    """Smooth random colour fields: every one differs from the others, and its crops resemble each other."""
    coarse = np.random.default_rng(seed).uniform(0, 255, (count, 4, 4, 3))
    return tf.image.resize(tf.constant(coarse, tf.float32), (size, size))


def model_of(backbone, **kwargs):
    kwargs.setdefault("augmentation", SimCLRViews(32, crop_area=(0.3, 1.0), strength=0.3))
    return kerassl.SimCLR(backbone, image_size=32, hidden_dim=16, projection_dim=8, **kwargs)


def test_fit_teaches_to_tell_images_apart(tiny_backbone):
    keras.utils.set_random_seed(0)
    model = model_of(tiny_backbone(16), temperature=0.2)
    model.compile(keras.optimizers.Adam(0.01))
    images = tf.data.Dataset.from_tensors(photographs(16)).repeat(30)
    history = model.fit(images, epochs=4, verbose=0).history
    chance = math.log(2 * 16 - 1)
    assert history["loss"][-1] < 0.75 * chance
    assert history["contrast_accuracy"][-1] > 8 / 31  # chance is one in 31


def test_fit_takes_views_that_the_reader_drew(tiny_backbone):
    views = SimCLRViews(32)(photographs(), tf.constant([0, 1]))
    assert isinstance(views, Views)
    model = model_of(tiny_backbone())
    model.compile(LARS(0.1))
    logs = model.fit(tf.data.Dataset.from_tensors(views), verbose=0).history
    assert math.isfinite(logs["loss"][0])
    logs = model.evaluate(tf.data.Dataset.from_tensors(views), verbose=0, return_dict=True)
    assert math.isfinite(logs["loss"])


def test_step_sees_images_of_0_to_255_and_updates_every_weight(tiny_backbone):
    model = model_of(tiny_backbone())
    model.compile(keras.optimizers.SGD(0.1))
    before = [np.array(variable) for variable in model.trainable_variables]
    model.fit(tf.data.Dataset.from_tensors(photographs()), verbose=0)
    assert all(np.any(np.array(variable) != old) for variable, old in zip(model.trainable_variables, before))
    names = {variable.name for layer in model.backbone.layers for variable in layer.trainable_variables}
    assert len(model.trainable_variables) == len(model.backbone.trainable_variables) + 4
    assert names


@pytest.mark.parametrize("replicas", [2, 4])
@pytest.mark.parametrize("decoupled", [False, True])
def test_training_on_replicas_equals_training_on_one(replicas, decoupled, tiny_backbone, mirrored):
    # Through `fit`: the loss that is logged, the weights after two steps, and the moving statistics.
    start = {}

    def parts(model):
        return model.backbone.get_weights() + model.projection_head.get_weights()

    def train(count):
        with mirrored(count).scope():
            model = model_of(tiny_backbone(), loss=InfoNCE(0.2, decoupled))
            model.compile(keras.optimizers.SGD(0.05))
        if not start:
            start["weights"] = parts(model)
        model.backbone.set_weights(start["weights"][: len(model.backbone.weights)])
        model.projection_head.set_weights(start["weights"][len(model.backbone.weights) :])
        data = tf.data.Dataset.from_tensor_slices(photographs(16)).batch(8, drop_remainder=True)
        history = model.fit(data, verbose=0, shuffle=False).history
        return history, parts(model)

    (one, weights), (many, many_weights) = train(1), train(replicas)
    assert many["loss"][0] == pytest.approx(one["loss"][0], rel=1e-5)
    assert many["contrast_accuracy"][0] == pytest.approx(one["contrast_accuracy"][0], abs=1e-6)
    moved = 0.0
    for a, b, s in zip(weights, many_weights, start["weights"]):
        assert np.linalg.norm(a - b) <= 1e-4 * np.linalg.norm(a) + 1e-6
        moved += np.linalg.norm(a - s)
    assert moved > 0.1


def test_same_seed_gives_same_bits(tiny_backbone):
    def train():
        keras.utils.set_random_seed(3)
        model = model_of(tiny_backbone(), seed=5)
        model.compile(LARS(0.1))
        model.fit(tf.data.Dataset.from_tensors(photographs()).repeat(3), verbose=0)
        return model.get_weights()

    for first, second in zip(train(), train()):
        np.testing.assert_array_equal(first, second)


def test_views_change_with_step_and_seed(tiny_backbone):
    class Recorder:
        def __init__(self):
            self.seeds = []

        def __call__(self, images, seed, **place):
            self.seeds.append(np.array(seed))
            return SimCLRViews(32)(images, seed, **place)

    recorder = Recorder()
    model = model_of(tiny_backbone(), augmentation=recorder, seed=7)
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    model.fit(tf.data.Dataset.from_tensors(photographs(4)).repeat(3), verbose=0)
    assert [tuple(seed) for seed in recorder.seeds] == [(7, 0), (7, 1), (7, 2)]


def test_saved_model_loads_in_a_new_process_with_equal_outputs(tmp_path, tiny_backbone):
    model = model_of(tiny_backbone(), temperature=0.3, seed=9)
    model.compile(LARS(kerassl.optimizers.WarmupCosine(0.5, 10, 2)))
    model.fit(tf.data.Dataset.from_tensors(photographs()), verbose=0)
    path = tmp_path / "simclr.keras"
    model.save(path)
    images = photographs(4, 32)
    np.save(tmp_path / "images.npy", images)
    code = (
        "import kerassl, keras, numpy as np;"
        "import kerassl.models;"
        f"m = keras.saving.load_model(r'{path}');"
        f"x = np.load(r'{tmp_path / 'images.npy'}');"
        "assert (m.objective.temperature, m.seed, m.image_size) == (0.3, 9, 32);"
        f"np.savez(r'{tmp_path / 'out.npz'}', projections=m(x), features=m.embed(x))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=240)
    with np.load(tmp_path / "out.npz") as out:
        np.testing.assert_allclose(out["projections"], model(images), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(out["features"], model.embed(images), rtol=1e-5, atol=1e-6)


def test_saved_weights_load(tmp_path, tiny_backbone):
    model, twin = model_of(tiny_backbone()), model_of(tiny_backbone())
    path = tmp_path / "simclr.weights.h5"
    model.save_weights(path)
    images = photographs(4, 32)
    assert np.abs(np.asarray(model(images) - twin(images))).max() > 1e-3
    twin.load_weights(path)
    np.testing.assert_allclose(twin(images), model(images), rtol=1e-6)


def test_embed_equals_mean_of_features_and_leaves_statistics_alone(tiny_backbone):
    model = model_of(tiny_backbone())
    images = photographs(3, 64)
    before = model.get_weights()
    expected = np.asarray(model.backbone(images)).mean(axis=(1, 2))
    np.testing.assert_allclose(model.embed(tf.cast(images, tf.float32)), expected, rtol=1e-5, atol=1e-6)
    for old, new in zip(before, model.get_weights()):
        np.testing.assert_array_equal(old, new)


def test_mixed_precision_trains_in_float32_loss(tiny_backbone):
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        model = model_of(tiny_backbone())
        model.compile(keras.optimizers.SGD(0.1))
        history = model.fit(tf.data.Dataset.from_tensors(photographs()).repeat(2), verbose=0).history
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert math.isfinite(history["loss"][0])
    assert model.backbone.get_layer("conv3").compute_dtype == "float16"


def test_trained_backbone_keeps_what_it_learned_when_saved(tmp_path, tiny_backbone):
    model = model_of(tiny_backbone())
    model.compile(keras.optimizers.Adam(0.01))
    model.fit(tf.data.Dataset.from_tensors(photographs()).repeat(5), verbose=0)
    backbones.save(model.backbone, tmp_path / "backbone.keras")
    images = photographs(2, 64)
    loaded = backbones.load(tmp_path / "backbone.keras")
    np.testing.assert_allclose(loaded(images), model.backbone(images), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "told"), [({"image_size": 240}, "multiple of 32"), ({"backbone": "ResNet1"}, "EfficientNetB1")]
)
def test_model_is_refused_when_argument_is_wrong(arguments, told):
    with pytest.raises(UserError, match=told):
        kerassl.SimCLR(**arguments)


def test_fit_is_refused_when_data_are_no_images(tiny_backbone):
    model = model_of(tiny_backbone())
    model.compile(LARS(0.1), run_eagerly=True)
    with pytest.raises(ValueError, match="batches of images"):
        model.fit(tf.data.Dataset.from_tensors(tf.zeros([4, 32])), verbose=0)
