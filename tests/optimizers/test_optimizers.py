import keras
import numpy as np
import pytest
import tensorflow as tf

from kerassl import UserError
from kerassl.optimizers import LARS, WarmupCosine, scaled_learning_rate


def test_lars_follows_update_worked_by_hand():
    # |w| = 5, wd * w = (0.3, 0.4), g = (0.7, -0.4): d = (1, 0), |d| = 1, so the rate is 0.5 * 0.01 * 5 / 1 = 0.025.
    kernel = tf.Variable([[3.0, 4.0]])
    bias = tf.Variable([1.0])
    optimizer = LARS(learning_rate=0.5, momentum=0.9, trust=0.01, weight_decay=0.1)
    gradients = [tf.constant([[0.7, -0.4]]), tf.constant([2.0])]
    optimizer.apply_gradients(zip(gradients, [kernel, bias]))
    np.testing.assert_allclose(kernel, [[3.0 - 0.025, 4.0]], rtol=1e-6)
    np.testing.assert_allclose(bias, [1.0 - 0.5 * 2.0], rtol=1e-6)  # rank 1: no decay, no adaptation
    optimizer.apply_gradients(zip(gradients, [kernel, bias]))
    np.testing.assert_allclose(bias, [0.0 - (0.9 * 1.0 + 1.0)], rtol=1e-6)  # the momentum is carried
    direction = np.array([0.7 + 0.1 * 2.975, -0.4 + 0.1 * 4.0])
    step = 0.5 * 0.01 * np.hypot(2.975, 4.0) / np.linalg.norm(direction) * direction
    np.testing.assert_allclose(kernel[0], [2.975 - 0.9 * 0.025 - step[0], 4.0 - step[1]], rtol=1e-6)


def test_lars_moves_weights_that_are_zero():
    kernel = tf.Variable([[0.0, 0.0]])
    LARS(learning_rate=0.5, momentum=0).apply_gradients([(tf.constant([[1.0, 2.0]]), kernel)])
    np.testing.assert_allclose(kernel, [[-0.5, -1.0]])


def test_lars_is_the_same_on_two_replicas(mirrored):
    def run(replicas):
        strategy = mirrored(replicas)
        with strategy.scope():
            kernel = keras.layers.Dense(2, use_bias=False, kernel_initializer="ones")
            kernel.build((None, 2))
            optimizer = LARS(0.5, weight_decay=0.1)
            optimizer.build(kernel.trainable_variables)

        def step():
            optimizer.apply_gradients(
                [(tf.constant([[1.0, 2.0], [3.0, 4.0]]) / replicas, kernel.trainable_variables[0])]
            )

        for _ in range(3):
            tf.function(lambda: strategy.run(step))()
        return kernel.get_weights()[0]

    np.testing.assert_allclose(run(1), run(2), rtol=1e-6)
    assert not np.allclose(run(1), 1.0)


def test_lars_config_restores_it_with_its_schedule():
    optimizer = LARS(WarmupCosine(0.7, 100, 10), momentum=0.8, trust=0.002, weight_decay=1e-4)
    restored = LARS.from_config(optimizer.get_config())
    assert (restored.momentum, restored.trust, restored.decay) == (0.8, 0.002, 1e-4)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(optimizer))
    variable = tf.Variable([1.0])
    for each in (restored, again):
        each.apply_gradients([(tf.constant([1.0]), variable)])
    assert float(variable[0]) == 1.0  # step 0 of the warm-up has rate 0


@pytest.mark.parametrize("wrong", [{"momentum": 1.0}, {"trust": 0}, {"weight_decay": -1}])
def test_lars_is_refused_when_argument_is_out_of_range(wrong):
    with pytest.raises(UserError, match="LARS"):
        LARS(0.1, **wrong)


def test_schedule_rises_then_falls():
    schedule = WarmupCosine(peak=2.0, total_steps=30, warmup_steps=10, final=0.5)
    values = [float(schedule(step)) for step in (0, 5, 10, 20, 30, 99)]
    np.testing.assert_allclose(values, [0, 1, 2, 1.25, 0.5, 0.5], rtol=1e-6)
    assert WarmupCosine.from_config(schedule.get_config()).get_config() == schedule.get_config()


def test_schedule_is_refused_when_warmup_fills_it():
    with pytest.raises(UserError, match="warmup_steps"):
        WarmupCosine(1.0, total_steps=10, warmup_steps=10)


def test_learning_rate_follows_rule():
    assert scaled_learning_rate(256, "linear") == 0.3
    assert scaled_learning_rate(64, "sqrt") == pytest.approx(0.6)
    with pytest.raises(UserError, match="rule"):
        scaled_learning_rate(64, "cubic")
