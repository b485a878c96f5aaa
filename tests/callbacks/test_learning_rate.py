import keras
import numpy as np
import pytest
import tensorflow as tf

from kerassl import UserError, _compat, optimizers
from kerassl.callbacks import LearningRate
from kerassl.optimizers import LARS, WarmupCosine

SCHEDULE = WarmupCosine(0.5, 6, 2)
STEPS = [0.0, 0.25, 0.5, 0.5 * 0.5 * (1 + np.cos(np.pi / 4)), 0.25, 0.5 * 0.5 * (1 - np.cos(np.pi / 4))]


class Recorder(keras.callbacks.Callback):
    """Record the logs that a later callback sees."""

    def on_train_begin(self, logs=None):
        self.steps = []

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append(logs["learning_rate"])


def trained(make, rate, strategy=None):
    """Six steps in two epochs: the rates of the steps, and the history."""
    with (strategy or tf.distribute.get_strategy()).scope():
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
        model.compile(make(rate), loss=keras.losses.MeanSquaredError())
    rows = tf.data.Dataset.from_tensors((tf.ones([4, 4]), tf.zeros([4, 3]))).repeat(3)
    recorder = Recorder()
    history = model.fit(rows, epochs=2, verbose=0, callbacks=[LearningRate(), recorder]).history
    return recorder.steps, history["learning_rate"]


@pytest.mark.parametrize(
    "make",
    [
        LARS,
        keras.optimizers.SGD,
        lambda rate: optimizers.get("lamb", rate),
        lambda rate: keras.mixed_precision.LossScaleOptimizer(keras.optimizers.Adam(rate)),
        pytest.param(lambda rate: optimizers.get("tfa/LAMB", rate), marks=pytest.mark.addons_stack),
        pytest.param(lambda rate: optimizers.get("tfa/NovoGrad", rate), marks=pytest.mark.addons_stack),
    ],
    ids=["LARS", "SGD", "lamb", "LossScale", "tfa/LAMB", "tfa/NovoGrad"],
)
def test_logs_the_rate_of_each_step_when_there_is_a_schedule_or_none(make):
    steps, epochs = trained(make, SCHEDULE)
    np.testing.assert_allclose(steps, STEPS, atol=1e-6)
    np.testing.assert_allclose(epochs, [STEPS[2], STEPS[5]], atol=1e-6)
    steps, epochs = trained(make, 0.125)
    assert steps == [0.125] * 6
    assert epochs == [0.125] * 2


def test_logged_rate_is_the_one_the_step_was_taken_with():
    # SGD moves the weight by rate times gradient, and the gradient here is 1.
    class Line(keras.Model):
        def __init__(self):
            super().__init__()
            self.weight = self.add_weight(shape=(), name="weight", initializer="zeros")

        def train_step(self, data):
            _compat.apply_gradients(self.optimizer, [tf.ones([])], self.trainable_variables)
            return {"weight": tf.identity(self.weight)}

    model, recorder = Line(), Recorder()
    model.compile(keras.optimizers.SGD(SCHEDULE))
    weights = []
    watch = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: weights.append(logs["weight"]))
    rows = tf.data.Dataset.from_tensors(tf.zeros([4, 1])).repeat(6)
    model.fit(rows, verbose=0, callbacks=[LearningRate(), recorder, watch])
    np.testing.assert_allclose(-np.diff([0.0, *weights]), recorder.steps, atol=1e-6)


def test_logs_one_rate_when_replicas_train_together(mirrored):
    steps, epochs = trained(LARS, SCHEDULE, mirrored(2))
    np.testing.assert_allclose(steps, STEPS, atol=1e-6)
    np.testing.assert_allclose(epochs, [STEPS[2], STEPS[5]], atol=1e-6)


def test_rate_follows_when_another_callback_changes_it():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    model.compile(keras.optimizers.SGD(0.5), loss=keras.losses.MeanSquaredError())
    rows = tf.data.Dataset.from_tensors((tf.ones([4, 4]), tf.zeros([4, 3])))
    change = keras.callbacks.LearningRateScheduler(lambda epoch, rate: 0.5 / 2**epoch)
    history = model.fit(rows, epochs=3, verbose=0, callbacks=[change, LearningRate()]).history
    assert history["learning_rate"] == [0.5, 0.25, 0.125]


def test_rate_is_that_of_the_last_step_when_the_length_of_the_data_is_unknown():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    model.compile(LARS(SCHEDULE), loss=keras.losses.MeanSquaredError())
    rows = tf.data.Dataset.from_tensors((tf.ones([4, 4]), tf.zeros([4, 3]))).repeat(3).filter(lambda x, y: True)
    # Keras begins a fourth step, which finds no data.
    history = model.fit(rows, verbose=0, callbacks=[LearningRate()]).history
    np.testing.assert_allclose(history["learning_rate"], [STEPS[2]], atol=1e-6)


def test_is_refused_when_the_optimizer_has_no_rate():
    callback = LearningRate()
    callback.set_model(type("Model", (), {"optimizer": type("MultiOptimizer", (), {})()})())
    with pytest.raises(UserError, match="MultiOptimizer has no learning rate"):
        callback.on_train_begin()
