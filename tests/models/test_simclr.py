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


def photos(count=8, size=40, seed=0):
    """Smooth random color fields: every one differs from the others, and its crops resemble each other."""
    coarse = np.random.default_rng(seed).uniform(0, 255, (count, 4, 4, 3))
    return tf.image.resize(tf.constant(coarse, tf.float32), (size, size))


def model_of(backbone, **kwargs):
    kwargs.setdefault("augmentation", SimCLRViews(32, scale=(0.3, 1.0), strength=0.3))
    return kerassl.SimCLR(backbone, image_size=32, hidden_dim=16, projection_dim=8, **kwargs)


def test_fit_learns_to_distinguish_images(tiny_backbone):
    keras.utils.set_random_seed(0)
    model = model_of(tiny_backbone(16), temperature=0.2)
    model.compile(keras.optimizers.Adam(0.01))
    images = tf.data.Dataset.from_tensors(photos(16)).repeat(20)
    history = model.fit(images, epochs=4, verbose=0).history
    chance = math.log(2 * 16 - 1)
    assert history["loss"][-1] < 0.75 * chance
    assert history["contrast_accuracy"][-1] > 8 / 31  # chance is one in 31


def test_fit_takes_views_that_the_reader_drew(tiny_backbone):
    views = SimCLRViews(32)(photos(), tf.constant([0, 1]))
    assert isinstance(views, Views)
    model = model_of(tiny_backbone())
    model.compile(LARS(0.1), run_eagerly=True)
    logs = model.fit(tf.data.Dataset.from_tensors(views), verbose=0).history
    assert math.isfinite(logs["loss"][0])
    logs = model.evaluate(tf.data.Dataset.from_tensors(views), verbose=0, return_dict=True)
    assert math.isfinite(logs["loss"])


def test_step_sees_images_of_0_to_255_and_updates_every_weight(tiny_backbone):
    model = model_of(tiny_backbone())
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    before = [np.array(variable) for variable in model.trainable_variables]
    model.fit(tf.data.Dataset.from_tensors(photos()), verbose=0)
    assert all(np.any(np.array(variable) != old) for variable, old in zip(model.trainable_variables, before))
    names = {variable.name for layer in model.backbone.layers for variable in layer.trainable_variables}
    assert len(model.trainable_variables) == len(model.backbone.trainable_variables) + 4
    assert names


def variables_of(model):
    """Weights and moving statistics; Keras 2.15 has the metrics' sums among the variables of the model itself."""
    return [*model.backbone.variables, *model.projection_head.variables]


def state_of(model):
    return [np.array(each.numpy()) for each in variables_of(model)]


STEPS = [
    (2, "float32", 1e-5, 1e-4, {"decoupled": True, "tile_size": 3}, 4),  # four images and none
    (3, "float64", 1e-6, 1e-10, {}, 5),  # two images each, and one
]


@pytest.mark.parametrize(("replicas", "policy", "loss_close", "gradient_close", "settings", "images"), STEPS)
def test_step_equals_that_of_one_when_replicas_share_the_batch(
    replicas, policy, loss_close, gradient_close, settings, images, tiny_backbone, mirrored, request
):
    # Through `fit`: the logged figures, and the gradient and the moving statistics that one step of SGD leaves. The
    # logged loss is a float32 metric.
    request.addfinalizer(lambda: keras.mixed_precision.set_global_policy("float32"))
    keras.mixed_precision.set_global_policy(policy)
    start = []

    def step(strategy, eagerly=True):
        with strategy.scope():
            model = model_of(tiny_backbone(), loss=InfoNCE(0.2, dtype=policy, **settings))
            model.compile(keras.optimizers.SGD(1.0), run_eagerly=eagerly)
        if not start:
            start.extend(state_of(model))
        for variable, value in zip(variables_of(model), start):
            variable.assign(value)
        data = tf.data.Dataset.from_tensor_slices(photos(images)).batch(8)
        history = model.fit(data, verbose=0, shuffle=False).history
        changes = [before - after for before, after in zip(start, state_of(model))]
        return {name: values[0] for name, values in history.items()}, changes

    # The replicas in single precision as a user's step runs; to build a graph takes longer than steps.
    eagerly = policy == "float64"
    one, changes = step(tf.distribute.get_strategy())
    many, many_changes = step(mirrored(replicas, eagerly), eagerly)
    assert one["loss"] > 0.1
    assert many["loss"] == pytest.approx(one["loss"], rel=loss_close)
    for name in ("contrast_accuracy", "embedding_std", "effective_rank", "alignment", "uniformity"):
        assert many[name] == pytest.approx(one[name], rel=1e-4), name
    for change, of_many in zip(changes, many_changes):
        assert np.linalg.norm(change) > 0 or not np.any(of_many)
        assert np.linalg.norm(change - of_many) <= gradient_close * np.linalg.norm(change)


@pytest.mark.current_stack
def test_warning_is_given_once_when_images_are_scaled_already(tiny_backbone, capfd):
    model = model_of(tiny_backbone())
    model.compile(keras.optimizers.SGD(0.1))
    model.fit(tf.data.Dataset.from_tensors(photos()).repeat(2), verbose=0)
    assert "at most 1" not in capfd.readouterr().err
    model.optimizer.iterations.assign(0)
    model.fit(tf.data.Dataset.from_tensors(photos() / 255).repeat(3), verbose=0)
    assert capfd.readouterr().err.count("at most 1; give images in [0, 255]") == 1


def test_same_seed_gives_same_bits(tiny_backbone):
    def train():
        keras.utils.set_random_seed(3)
        model = model_of(tiny_backbone(), seed=5)
        model.compile(LARS(0.1), run_eagerly=True)
        model.fit(tf.data.Dataset.from_tensors(photos()).repeat(2), verbose=0)
        return model.get_weights()

    for first, second in zip(train(), train()):
        np.testing.assert_array_equal(first, second)


@pytest.mark.current_stack
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
    model.fit(tf.data.Dataset.from_tensors(photos(4)).repeat(2), verbose=0)
    assert [tuple(seed) for seed in recorder.seeds] == [(7, 0), (7, 1)]


def test_saved_model_loads_in_a_new_process_with_equal_outputs(tmp_path, tiny_backbone):
    model = model_of(tiny_backbone(), temperature=0.3, seed=9)
    model.compile(LARS(kerassl.optimizers.WarmupCosine(0.5, 10, 2)), run_eagerly=True)
    model.fit(tf.data.Dataset.from_tensors(photos()), verbose=0)
    path = tmp_path / "simclr.keras"
    model.save(path)
    images = photos(4, 32)
    np.save(tmp_path / "images.npy", images)
    code = (
        "import sys, kerassl;"
        "assert not {'keras', 'tensorflow', 'numpy'} & set(sys.modules);"
        "import keras, numpy as np;"  # and nothing else of kerassl
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
    images = photos(4, 32)
    assert np.abs(np.asarray(model(images) - twin(images))).max() > 1e-3
    twin.load_weights(path)
    np.testing.assert_allclose(twin(images), model(images), rtol=1e-6)


@pytest.mark.current_stack
def test_embed_equals_mean_of_features_and_leaves_statistics_alone(tiny_backbone):
    model = model_of(tiny_backbone())
    images = photos(3, 64)
    before = model.get_weights()
    expected = np.asarray(model.backbone(images)).mean(axis=(1, 2))
    np.testing.assert_allclose(model.embed(tf.cast(images, tf.float32)), expected, rtol=1e-5, atol=1e-6)
    for old, new in zip(before, model.get_weights()):
        np.testing.assert_array_equal(old, new)


@pytest.mark.current_stack
def test_trained_backbone_keeps_what_it_learned_when_saved(tmp_path, tiny_backbone):
    model = model_of(tiny_backbone())
    model.compile(keras.optimizers.Adam(0.01), run_eagerly=True)
    model.fit(tf.data.Dataset.from_tensors(photos()), verbose=0)
    backbones.save(model.backbone, tmp_path / "backbone.keras")
    images = photos(2, 64)
    loaded = backbones.load(tmp_path / "backbone.keras")
    np.testing.assert_allclose(loaded(images), model.backbone(images), rtol=1e-5, atol=1e-6)


@pytest.mark.current_stack
@pytest.mark.parametrize(
    ("arguments", "message"), [({"image_size": 240}, "multiple of 32"), ({"backbone": "ResNet1"}, "EfficientNetB1")]
)
def test_model_is_refused_when_argument_is_wrong(arguments, message):
    with pytest.raises(UserError, match=message):
        kerassl.SimCLR(**arguments)


@pytest.mark.current_stack
def test_fit_is_refused_when_data_are_no_images(tiny_backbone):
    model = model_of(tiny_backbone())
    model.compile(LARS(0.1), run_eagerly=True)
    with pytest.raises(ValueError, match="batches of images"):
        model.fit(tf.data.Dataset.from_tensors(tf.zeros([4, 32])), verbose=0)
