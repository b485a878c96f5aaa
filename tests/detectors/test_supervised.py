"""One step on several replicas against the same step on one, for all models that are trained on labels."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerassl import UserError, _compat, detectors, models
from kerassl.models.over_replicas import OverReplicas

PARTS = {"backbone": 0.5, "P5": 0.1}


@pytest.fixture
def float64():
    keras.mixed_precision.set_global_policy("float64")
    keras.backend.set_floatx("float64")  # for losses and metrics
    yield
    keras.backend.set_floatx("float32")
    keras.mixed_precision.set_global_policy("float32")


class Steps(keras.callbacks.Callback):
    """The logs of every step."""

    def on_train_begin(self, logs=None):
        self.logs = []

    def on_train_batch_end(self, batch, logs=None):
        self.logs.append(dict(logs))


def scenes(count=4, size=32):
    """Noise with two boxes, of which the last image has none, as a detector and as a localizer takes them."""
    rng = np.random.default_rng(0)
    boxes = np.tile([[[4.0, 4, 18, 20], [12, 10, 31, 30]]], (count, 1, 1))
    classes = np.tile([[0.0, 1]], (count, 1))
    boxes[-1], classes[-1] = -1, -1
    images = rng.uniform(0, 255, (count, size, size, 3))
    one = {"class": rng.integers(0, 2, count), "box": rng.uniform(0, 0.4, (count, 4)) + [0, 0, 0.5, 0.5]}
    return images, {"boxes": boxes, "classes": classes}, one


def trained(backbone, strategy, start):
    """Weights after a batch of three images and one of one, and the logs of both steps and of the epoch."""
    images, _, labels = scenes()
    with strategy.scope():
        model = detectors.Localizer(backbone(), ["red", "blue"], 32, num_filters=4, levels=["P5"])
        model.compile(keras.optimizers.SGD(0.1, global_clipnorm=0.1), lr_multipliers=PARTS)
    if start is not None:
        model.set_weights(start)
    start, steps = [np.array(each) for each in model.get_weights()], Steps()
    data = tf.data.Dataset.from_tensor_slices((images, labels)).batch(3)
    history = model.fit(data, verbose=0, callbacks=[steps]).history
    return start, model.get_weights(), [*steps.logs, {name: values[0] for name, values in history.items()}]


# The whole step, of the smallest model: shares of 2 and 1 and of 1 and 0 images, or of 1, 1, 1 and 0.
@pytest.mark.parametrize("replicas", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_replicas_train_as_one_when_shares_are_uneven_or_empty(replicas, float64, tiny_backbone, mirrored):
    start, weights, logs = trained(tiny_backbone, mirrored(1), None)
    _, others, other_logs = trained(tiny_backbone, mirrored(replicas), start)
    for one, other in zip(logs, other_logs):
        assert other == pytest.approx(one, rel=1e-10, abs=1e-12)
    changed = 0
    for before, one, other in zip(start, weights, others):  # moving statistics among them
        change = np.linalg.norm(one - before)
        changed += change > 0
        assert np.linalg.norm(other - one) <= 1e-10 * change + 1e-14
    assert changed > 0.8 * len(weights)


def loss_and_gradient(model, images, labels, outputs):
    with tf.GradientTape() as tape:
        tape.watch(outputs)
        loss = model.compute_loss(x=images, y=labels, y_pred=outputs)
    return loss, tape.gradient(loss, outputs)


@pytest.mark.current_stack
@pytest.mark.parametrize("kind", ["RetinaNet", "YOLOV8"])
def test_loss_and_gradient_are_those_of_the_whole_weighted_batch_when_replicas_share_it(
    kind, float64, tiny_backbone, mirrored
):
    """Eagerly, given outputs: to trace the steps of these models takes half a minute."""
    images, labels, _ = scenes()
    labels |= {  # the second box of each image is a region that is ignored
        "weight": np.tile([[0.5, 1]], (4, 1)),
        "box_weight": np.full((4, 2), 0.7),
        "ignore": np.tile([[0.0, 1]], (4, 1)),
        "background": np.tile(np.array([[1.0], [0.2], [0.5], [0.1]]), (1, 4)),
        "center": np.full((4, 2), 32.0),
    }
    model = getattr(detectors, kind)(tiny_backbone(), ["red", "blue"], 32, num_filters=32)
    model.compile()
    rng = np.random.default_rng(1)
    outputs = {name: tf.constant(value + rng.normal(0, 0.5, value.shape)) for name, value in model(images).items()}
    whole, expected = loss_and_gradient(model, tf.constant(images), labels, outputs)
    for shares in ((3, 1), (2, 1, 1, 0)):
        ends = np.cumsum(shares)

        def of_replica(context, shares=shares, ends=ends):
            end = ends[context.replica_id_in_sync_group]
            rows = slice(end - shares[context.replica_id_in_sync_group], end)
            return tf.nest.map_structure(lambda part: tf.constant(part[rows]), (images, labels, outputs))

        strategy = mirrored(len(shares))
        given = strategy.experimental_distribute_values_from_function(of_replica)
        losses, gradients = strategy.run(lambda given: loss_and_gradient(model, *given), args=(given,))
        assert sum(map(float, strategy.experimental_local_results(losses))) == pytest.approx(float(whole), rel=1e-10)
        for name, slow in expected.items():
            found = np.concatenate(strategy.experimental_local_results(gradients[name]))
            np.testing.assert_allclose(found, slow, rtol=1e-9, atol=1e-15)
        assert all(np.linalg.norm(each) > 0 for each in expected.values())


class Sum(OverReplicas, _compat.Model):
    """A weight of two numbers and one of one, whose gradients are what a batch holds."""

    def __init__(self):
        super().__init__()
        self.layers_of = [keras.layers.Dense(1, use_bias=False, kernel_initializer="ones") for _ in range(2)]
        for layer, width in zip(self.layers_of, (2, 1)):
            layer.build((None, width))
        self.built = True

    def train_step(self, data):
        variables = self.trainable_variables
        with tf.GradientTape() as tape:
            loss = _compat.scale_loss(
                self.optimizer,
                tf.add_n([tf.reduce_sum(l.kernel * tf.transpose(d)) for l, d in zip(self.layers_of, data)]),
            )
        _compat.apply_gradients(self.optimizer, tape.gradient(loss, variables), variables)
        return {"loss": tf.zeros([])}


@pytest.mark.parametrize("clip", [{"clipnorm": 0.1}, {"global_clipnorm": 0.2}, {"clipvalue": 0.05}])
def test_gradient_is_clipped_after_replicas_have_added_it_up(clip, mirrored):
    # Each share is far longer than the sum, and points elsewhere.
    shares = np.array([[3.0, 0.0], [-2.9, 0.3]], "float32"), np.array([[5.0], [-5.1]], "float32")
    with mirrored(2).scope():
        model = Sum()
        model.compile(keras.optimizers.SGD(1.0, **clip))
    model.fit(tf.data.Dataset.from_tensors(shares).unbatch().batch(2), verbose=0)
    first, second = (1 - layer.get_weights()[0].ravel() for layer in model.layers_of)
    expected = {
        "clipnorm": ([0.1 * 0.1 / np.hypot(0.1, 0.3), 0.3 * 0.1 / np.hypot(0.1, 0.3)], [-0.1]),
        "global_clipnorm": (np.array([0.1, 0.3]) * 0.2 / np.sqrt(0.11), np.array([-0.1]) * 0.2 / np.sqrt(0.11)),
        "clipvalue": ([0.05, 0.05], [-0.05]),
    }[next(iter(clip))]
    np.testing.assert_allclose(first, expected[0], rtol=1e-5)
    np.testing.assert_allclose(second, expected[1], rtol=1e-5)


@pytest.mark.parametrize("kind", ["simclr", "localizer"])
def test_batch_norm_that_replicas_do_not_share_is_refused_with_advice(kind, stock_backbone, mirrored):
    def fit(backbone):
        with mirrored(2).scope():
            if kind == "simclr":
                model = models.SimCLR(backbone(), 32, projection_dim=8)
                model.compile("sgd")
            else:
                model = detectors.Localizer(backbone(), ["red", "blue"], 32, num_filters=8)
                model.compile()
        model.fit(tf.data.Dataset.from_tensors(tf.zeros([2, 32, 32, 3])), verbose=0)

    with pytest.raises(
        UserError, match=r"5 layers of batch normalization, bn1 the first.*2 replicas.*backbones.with_fast_layers"
    ):
        fit(stock_backbone)
