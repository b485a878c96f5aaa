import copy
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerassl import SimCLR, UserError, _compat
from kerassl.augment import SimCLRViews
from kerassl.callbacks import CollapseMonitor
from kerassl.callbacks.state import weights
from kerassl.losses import InfoNCE


def photos(count=32):
    coarse = np.random.default_rng(0).uniform(0, 255, (count, 4, 4, 3))
    return tf.image.resize(tf.constant(coarse, tf.float32), (40, 40))


@pytest.fixture(scope="module")
def watched(tiny_backbone):
    """`watched(images, …)`: the callback and the history after a run of batches of 16, from the same start each time.

    Runs of one loss share a model, whose graph takes longer to build than the run.
    """
    made = {}

    def build(*loss):
        views = SimCLRViews.mild(32)
        model = SimCLR(tiny_backbone(16), 32, hidden_dim=32, projection_dim=16, augmentation=views, loss=InfoNCE(*loss))
        model.compile(keras.optimizers.Adam())
        _compat.build_optimizer(model.optimizer, model.trainable_variables)
        variables = [*weights(model), *_compat.optimizer_variables(model.optimizer)]
        return model, variables, [np.array(variable.numpy()) for variable in variables]

    def run(images, learning_rate=1e-3, temperature=0.2, decoupled=False, steps=200, **settings):
        keras.utils.set_random_seed(0)
        loss = temperature, decoupled
        made[loss] = model, variables, start = made.get(loss) or build(*loss)
        for variable, value in zip(variables, start):
            variable.assign(value)
        model.optimizer.learning_rate = learning_rate
        data = tf.data.Dataset.from_tensor_slices(images).shuffle(64, seed=0).batch(16, drop_remainder=True).repeat()
        health = CollapseMonitor(16, **settings)
        history = model.fit(data, steps_per_epoch=steps // 2, epochs=2, verbose=0, callbacks=[health]).history
        return health, history

    return run


def test_healthy_run_is_not_alarmed_and_logs_its_chance(watched):
    health, history = watched(photos())
    assert health.alarms == []
    assert history["chance_loss"] == pytest.approx([math.log(31)] * 2)
    assert history["loss"][-1] < history["chance_loss"][-1]
    for name in ("contrast_accuracy", "embedding_std", "effective_rank", "alignment", "uniformity"):
        assert np.all(np.isfinite(history[name]))


@pytest.mark.current_stack
@pytest.mark.parametrize(
    ("settings", "kind", "advice"),
    [
        ({"temperature": 1e-4}, "above chance", "raise the temperature"),
        ({"temperature": 100.0, "decoupled": True}, "flat", "lower the temperature"),
        ({"learning_rate": 1e4}, "not learning", "lower the learning rate"),
    ],
)
def test_absurd_setting_is_flagged_with_advice_within_60_steps(settings, kind, advice, watched, caplog):
    health, _ = watched(photos(), patience=20, steps=60, **settings)
    assert kind in [found for _, found, _ in health.alarms]
    assert all(step <= 60 for step, _, _ in health.alarms)
    assert advice in caplog.text


@pytest.fixture(scope="module")
def short_run(watched):
    """The callback after four steps, with a decoupled loss, and the history."""
    return watched(photos(), temperature=100.0, decoupled=True, steps=4)


@pytest.fixture
def health(short_run):
    """A copy of that callback, without alarms."""
    made = copy.copy(short_run[0])
    made.alarms, made._now = [], []
    return made


def test_collapse_is_flagged_when_embeddings_are_equal(health):
    health._look(np.tile([3.4, 0.2, 0.01, 1.2, 0.1], (100, 1)))
    assert health.alarms[0][1] == "collapsed"
    assert "embeddings of all images are alike (deviation 0.010 of 1, 1.2 directions)" in health.alarms[0][2]


def test_no_alarm_is_given_when_the_rate_is_warming_up(health):
    rates = np.linspace(0, 1, 100)
    recent = np.stack([np.full_like(rates, value) for value in (3.43, 0.03, 0.5, 5.0)] + [rates], axis=1)
    health._look(recent)
    assert health.alarms == []


@pytest.mark.current_stack
def test_run_is_flagged_when_all_images_are_the_same(watched):
    same = tf.repeat(photos(1), 32, axis=0)
    health, _ = watched(same, patience=20, steps=60)
    messages = {kind: message for _, kind, message in health.alarms}
    assert "check that the images differ" in messages["at chance"]


@pytest.mark.current_stack
def test_alarm_is_logged_once_and_stops_the_run_where_asked(watched, caplog):
    health, history = watched(photos(), temperature=1e-4, patience=10, stop=True)
    assert len(history["loss"]) == 1
    assert caplog.text.count("is far above chance") == 1
    assert health.alarms[0][0] == 10


@pytest.mark.current_stack
def test_run_is_judged_at_its_end_when_short(watched):
    health, history = watched(photos(), steps=24, learning_rate=1e4)
    assert history["loss"][-1] > 0.98 * math.log(31)
    assert health.learned is False
    assert set(health.at_end) & {"collapsed", "not learning"}
    message = next(message for _, kind, message in health.alarms if kind in ("collapsed", "not learning"))
    assert "train for more epochs (a few hundred steps are too few), lower the learning rate" in message


def test_collapse_is_flagged_at_the_end_when_the_rank_fell_and_the_loss_is_chance(health):
    assert health.learned is None  # too short to tell
    health._first, last = 33.0, np.tile([3.43, 0.05, 0.5, 4.5, 0.1], (14, 1))
    for loss, end, kinds in [(3.43, True, ["collapsed"]), (3.0, True, []), (3.43, False, [])]:
        health.alarms.clear()
        last[:, 0] = loss
        health._look(last, slow=False, end=end)
        assert [kind for _, kind, _ in health.alarms] == kinds
        health._now.clear()


@pytest.mark.current_stack  # the blur that TensorFlow 2.15 compiles turns pixels that are NaN into numbers
def test_run_stops_when_the_loss_is_nan(watched, caplog):
    images = photos().numpy()
    images[3] = np.nan
    health, history = watched(images)
    assert [kind for _, kind, _ in health.alarms] == ["broken"]
    assert len(history["loss"]) == 1
    assert "lower the learning rate" in caplog.text


def test_chance_of_decoupled_loss_leaves_out_the_positive(short_run):
    _, history = short_run
    assert history["chance_loss"][0] == pytest.approx(math.log(30))


def test_other_model_and_batch_of_one_are_refused():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(UserError, match="SimCLR"):
        model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0, callbacks=[CollapseMonitor(8)])
    with pytest.raises(UserError, match="batch_size=1"):
        CollapseMonitor(1)


def test_run_is_judged_when_its_last_fit_has_no_step_left(health):
    """As after a run that was resumed within its last epoch."""
    health.on_train_begin()
    health.on_train_end()
    assert health.at_end == []
