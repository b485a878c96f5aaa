import random

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import optimize, special

import kerassl
from kerassl import UserError
from kerassl.augment import SimCLRViews
from kerassl.callbacks import KNNProbe, LinearProbe, MetricsFile
from kerassl.callbacks.knn_probe import knn_scores
from kerassl.callbacks.linear_probe import linear_scores
from kerassl.callbacks.probe import halves
from kerassl.metrics import topk


def clouds(count, size, classes, spread, seed=0):
    """Features around one random center a class, and their labels."""
    draw = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    centers = np.random.default_rng(99).normal(size=(classes, size))
    return (centers[labels] + spread * draw.normal(size=(count, size))).astype("float32"), labels


def knn_in_loops(train, labels, test, count, k, temperature):
    scores = np.zeros((len(test), count))
    for row, one in enumerate(test.astype(float)):
        near = []
        for other, label in zip(train.astype(float), labels):
            near.append((one @ other / np.linalg.norm(one) / np.linalg.norm(other), label))
        for similarity, label in sorted(near, reverse=True)[:k]:
            scores[row, label] += np.exp(similarity / temperature)
    return scores


@pytest.mark.current_stack
@pytest.mark.parametrize(("k", "temperature"), [(1, 0.07), (5, 0.07), (20, 1.0), (500, 0.2)])
def test_knn_scores_equal_those_of_plain_loops(k, temperature):
    train, labels = clouds(60, 7, 4, 1.5, seed=1)
    test, _ = clouds(23, 7, 4, 1.5, seed=2)
    expected = knn_in_loops(train, labels, test, 4, k, temperature)
    scores = knn_scores(train, labels, test, 4, k, temperature)
    # A row is known up to a factor, which no ranking sees.
    np.testing.assert_allclose(
        scores / scores.sum(axis=1, keepdims=True), expected / expected.sum(axis=1, keepdims=True), atol=1e-5
    )


@pytest.mark.current_stack
def test_knn_scores_hold_when_features_are_tiny_and_nearly_parallel():
    # As those of an untrained network: 1e-18 long, with angles of 1e-4.
    train, labels = clouds(60, 7, 3, 0.1, seed=1)
    test, truth = clouds(30, 7, 3, 0.1, seed=2)
    plain = topk(knn_scores(train + 1e3, labels, test + 1e3, 3, 5, 0.07), truth)
    tiny = topk(
        knn_scores((train + 1e3) * np.float32(1e-21), labels, (test + 1e3) * np.float32(1e-21), 3, 5, 0.07), truth
    )
    assert plain["top1"] > 0.8
    assert tiny["top1"] > 0.8


@pytest.mark.current_stack
def test_knn_scores_are_finite_when_temperature_is_low_or_features_are_zero():
    train, labels = clouds(12, 5, 3, 0.1)
    train[:2] = 0
    for temperature in (1e-4, 1e4):
        scores = knn_scores(train, labels, np.zeros((2, 5), "float32"), 3, 4, temperature)
        assert np.isfinite(scores).all()
        scores = knn_scores(train, labels, train, 3, 1, temperature)
        assert topk(scores[2:], labels[2:])["top1"] == 1.0


def scipy_logistic(train, labels, test, count, l2):
    """SciPy's BFGS, with a standardization of its own, until nothing moves."""
    mean, deviation = train.mean(axis=0), train.std(axis=0)
    train, test = ((part - mean) / deviation / np.sqrt(train.shape[1]) for part in (train, test))
    targets = np.eye(count)[labels]

    def parts(flat):
        return flat[count:].reshape(-1, count), flat[:count]

    def loss(flat):
        weights, bias = parts(flat)
        log_shares = special.log_softmax(train @ weights + bias, axis=1)
        wrong = (np.exp(log_shares) - targets) / len(train)
        slope = np.concatenate([wrong.sum(axis=0), (train.T @ wrong + l2 * weights).ravel()])
        return -(targets * log_shares).sum() / len(train) + l2 / 2 * (weights**2).sum(), slope

    found = optimize.minimize(loss, np.zeros(count * (1 + train.shape[1])), jac=True, options={"gtol": 1e-7})
    assert np.abs(found.jac).max() < 1e-6
    weights, bias = parts(found.x)
    return test @ weights + bias


@pytest.mark.current_stack
@pytest.mark.parametrize("size", [6, 40])  # fewer features than images, and more
@pytest.mark.parametrize("l2", [1e-2, 1e-3])
def test_linear_scores_equal_those_of_scipy(size, l2):
    train, labels = clouds(30, size, 3, 1.5, seed=1)
    test, _ = clouds(11, size, 3, 1.5, seed=2)
    train[:, 0] *= 1000  # which standardizing undoes
    test[:, 0] *= 1000
    labels = np.where(np.arange(30) < 6, 0, labels)  # unequal classes: the biases matter
    expected = scipy_logistic(train.astype(float), labels, test.astype(float), 3, l2)
    np.testing.assert_allclose(linear_scores(train, labels, test, 3, l2), expected, atol=1e-3)


@pytest.mark.current_stack
def test_linear_scores_are_right_when_separable_and_chance_when_labels_are_shuffled():
    train, labels = clouds(400, 64, 10, 0.3, seed=1)
    test, truth = clouds(300, 64, 10, 0.3, seed=2)
    assert topk(linear_scores(train, labels, test, 10, 1e-3), truth)["top1"] == 1.0
    shuffled = np.random.default_rng(0).permutation(labels)
    assert topk(linear_scores(train, shuffled, test, 10, 1e-3), truth)["top1"] < 0.25
    # A feature that never varies neither helps nor breaks.
    flat = [np.concatenate([part, np.full((len(part), 1), 7, "float32")], axis=1) for part in (train, test)]
    assert topk(linear_scores(flat[0], labels, flat[1], 10, 1e-3), truth)["top1"] == 1.0


@pytest.mark.current_stack
def test_halves_take_half_of_each_class_and_the_same_again():
    labels = np.repeat([0, 1, 2], [10, 7, 2])
    chosen = halves(labels, 3)
    assert [int(chosen[labels == label].sum()) for label in range(3)] == [5, 4, 1]
    np.testing.assert_array_equal(halves(labels, 3), chosen)
    assert (halves(labels, 4) != chosen).any()


@pytest.fixture
def colors(tmp_path):
    """Folders `train` and `test` with images of three colors in three sub-folders, distinct but for some noise."""
    draw = np.random.default_rng(0)
    for part, count in (("train", 8), ("test", 5)):
        for label, name in enumerate(("blue", "green", "red")):
            for number in range(count):
                pixels = draw.uniform(0, 90, (32, 32, 3))
                pixels[:, :, 2 - label] += 130
                path = tmp_path / part / name / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                tf.io.write_file(str(path), tf.io.encode_png(pixels.astype(np.uint8)))
    return tmp_path


def model_of(backbone, eagerly=False):
    model = kerassl.SimCLR(backbone, 32, hidden_dim=8, projection_dim=8, augmentation=SimCLRViews(32, scale=(0.3, 1.0)))
    model.compile(keras.optimizers.SGD(0.05), run_eagerly=eagerly)
    return model


def photos(batches=2):
    pixels = np.random.default_rng(0).uniform(0, 255, (8 * batches, 32, 32, 3)).astype("float32")
    return tf.data.Dataset.from_tensor_slices(pixels).batch(8, drop_remainder=True)


class Color(keras.Model):
    """Its features are the means of the colors, and nan before more than `nan_steps` steps are done."""

    def __init__(self, nan_steps=0):
        super().__init__()
        self.steps_done = self.add_weight(shape=(), name="steps_done", initializer="zeros", trainable=False)
        self.nan_steps = nan_steps

    def train_step(self, data):
        self.steps_done.assign_add(1.0)
        return {"loss": tf.identity(self.steps_done)}

    def embed(self, images):
        means = tf.reduce_mean(images, axis=(1, 2))
        return tf.where(tf.identity(self.steps_done) > self.nan_steps, means, np.nan)


@pytest.mark.current_stack
def test_probes_add_perfect_figures_to_logs_when_features_are_the_colors(colors, tmp_path, capsys):
    folders = colors / "train", colors / "test"
    model = Color()
    model.compile(keras.optimizers.SGD(0.1))
    probes = [make(*folders, image_size=32, batch_size=5) for make in (KNNProbe, LinearProbe)]
    lines = MetricsFile(tmp_path / "metrics.jsonl")
    history = model.fit(photos(), epochs=2, callbacks=[*probes, lines], verbose=2).history
    shown = capsys.readouterr().out
    for name in ("knn_top1", "knn_top3", "linear_top1", "linear_top3"):
        assert history[name] == [1.0, 1.0]
        assert (tmp_path / "metrics.jsonl").read_text().count(f'"{name}": 1.0') == 2
        assert shown.count(f"{name}: 1.0") == 2


@pytest.mark.current_stack
def test_probes_judge_the_test_images_by_the_training_ones_when_labels_disagree(colors):
    # In `test` blue and green are exchanged: only red can be right.
    for old, new in (("blue", "x"), ("green", "blue"), ("x", "green")):
        (colors / "test" / old).rename(colors / "test" / new)
    model = Color()
    model.compile(keras.optimizers.SGD(0.1))
    probes = [make(colors / "train", colors / "test", image_size=32) for make in (KNNProbe, LinearProbe)]
    history = model.fit(photos(), callbacks=probes, verbose=0).history
    assert history["knn_top1"] == history["linear_top1"] == [pytest.approx(1 / 3)]


def test_probes_measure_every_given_number_of_epochs_and_the_last(colors):
    model = Color()
    model.compile(keras.optimizers.SGD(0.1))
    seen = []
    watch = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append("knn_top1" in logs))
    probe = KNNProbe(colors / "train", image_size=32, every=2)
    model.fit(photos(), epochs=5, callbacks=[probe, watch], verbose=0)
    assert seen == [False, True, False, True, True]
    seen.clear()
    model.fit(photos(), initial_epoch=3, epochs=5, callbacks=[probe, watch], verbose=0)
    assert seen == [True, True]


@pytest.mark.current_stack
def test_probes_log_nan_and_continue_when_features_are_not_finite(colors):
    model = Color(nan_steps=3)  # an epoch has two
    model.compile(keras.optimizers.SGD(0.1))
    probes = [make(colors / "train", image_size=32) for make in (KNNProbe, LinearProbe)]
    history = model.fit(photos(), epochs=2, callbacks=probes, verbose=0).history
    for name in ("knn_top1", "knn_top3", "linear_top1", "linear_top3"):
        np.testing.assert_array_equal(history[name], [np.nan, 1.0])


@pytest.mark.current_stack
def test_probes_have_no_top3_when_there_are_two_classes(colors):
    for path in (colors / "train" / "red").iterdir():
        path.unlink()
    (colors / "train" / "red").rmdir()
    model = Color()
    model.compile(keras.optimizers.SGD(0.1))
    probes = [make(colors / "train", image_size=32) for make in (KNNProbe, LinearProbe)]
    history = model.fit(photos(), callbacks=probes, verbose=0).history
    assert sorted(history) == ["knn_top1", "linear_top1", "loss"]


@pytest.mark.current_stack
def test_probes_leave_no_trace_in_training_and_repeat_themselves(colors, tiny_backbone):
    def train(callbacks):
        keras.utils.set_random_seed(5)
        model = model_of(tiny_backbone(), eagerly=True)
        history = model.fit(photos(1), callbacks=callbacks, verbose=0).history
        draws = [random.random(), float(np.random.uniform()), float(tf.random.uniform([]))]
        return model, history, draws

    plain, _, plain_draws = train([])
    probes = [make(colors / "train", colors / "test", image_size=32) for make in (KNNProbe, LinearProbe)]
    probed, history, draws = train(probes)
    for expected, value in zip(plain.get_weights(), probed.get_weights()):
        np.testing.assert_array_equal(value, expected)
    assert draws == plain_draws
    # Other callbacks, on the weights alone, give the figures of the last epoch: a resumed run goes on with them.
    for make in (KNNProbe, LinearProbe):
        again = make(colors / "train", colors / "test", image_size=32)
        again.set_model(plain)
        again.set_params({"epochs": 1})
        again.on_train_begin()
        logs = {}
        again.on_epoch_end(0, logs)
        assert len(logs) == 2
        assert logs == {name: history[name][-1] for name in logs}


@pytest.mark.slow
def test_probes_give_the_figures_of_one_device_when_replicas_train(colors, tiny_backbone, mirrored):
    with mirrored(2).scope():
        model = model_of(tiny_backbone())
    probes = [make(colors / "train", colors / "test", image_size=32, batch_size=4) for make in (KNNProbe, LinearProbe)]
    history = model.fit(photos(), epochs=2, callbacks=probes, verbose=0).history
    single = model_of(tiny_backbone())
    single.backbone.set_weights(model.backbone.get_weights())
    for probe in probes:
        features, _ = probe._read(probe.test)
        images = np.concatenate([images for images, _ in probe.test.batches])
        assert features.dtype == np.float32
        np.testing.assert_allclose(features, single.embed(images), rtol=1e-4, atol=1e-6)
        probe.set_model(single)
        probe.on_train_begin()
        logs = {}
        probe.on_epoch_end(1, logs)
        assert len(logs) == 2
        for name, value in logs.items():
            assert history[name][-1] == pytest.approx(value, abs=1.01 / 15)  # one image may fall to the other side


@pytest.mark.current_stack
def test_probes_skip_broken_files(colors):
    (colors / "train" / "green" / "3.png").write_bytes(b"")
    model = Color()
    model.compile(keras.optimizers.SGD(0.1))
    history = model.fit(photos(), callbacks=[LinearProbe(colors / "train", image_size=32)], verbose=0).history
    assert history["linear_top1"] == [1.0]


@pytest.mark.current_stack
def test_probes_are_refused_when_given_what_they_cannot_use(colors, tmp_path):
    def refused(pattern, make, *folders, **settings):
        with pytest.raises(UserError, match=pattern) as error:
            make(*folders, image_size=settings.pop("image_size", 32), **settings)
        assert "\n" not in str(error.value)

    train, test = colors / "train", colors / "test"
    for make in (KNNProbe, LinearProbe):
        refused("no folder .*nowhere", make, colors / "nowhere")
        refused("multiple of 32", make, train, image_size=40)
        refused(f"{make.__name__}: every is 0", make, train, every=0)
        refused("batch_size is 0", make, train, batch_size=0)
    refused("k is 0", KNNProbe, train, k=0)
    refused("temperature is 0", KNNProbe, train, temperature=0)
    refused("l2 is -1", LinearProbe, train, l2=-1)
    (test / "red").rename(test / "yellow")
    refused("same classes, but only one has red, yellow", KNNProbe, train, test)
    for number in range(1, 5):
        (test / "yellow" / f"{number}.png").unlink()
    refused("holds one image of the class yellow", KNNProbe, test)
    model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(1)])
    model.compile(loss=keras.losses.MeanSquaredError())
    with pytest.raises(UserError, match=r"asks the model for embed\(images\), which Sequential has not"):
        model.fit(tf.zeros([4, 2]), tf.zeros([4, 1]), callbacks=[KNNProbe(train, image_size=32)], verbose=0)
