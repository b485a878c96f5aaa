import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerassl import UserError
from kerassl.augment import Views
from kerassl.callbacks import Throughput

BATCH = 8


def sleep(seconds, spent):
    """Sleeps in the graph, and notes for how long it really did."""

    def now():
        begin = time.perf_counter()
        time.sleep(seconds)
        spent.append(time.perf_counter() - begin)
        return np.float32(0)

    return tf.numpy_function(now, [], tf.float32)


class Sleeper(keras.Model):
    """A step takes `seconds` (a busy machine adds to it, and nothing subtracts); the very first one `first` more."""

    def __init__(self, seconds=0.0, first=0.0):
        super().__init__()
        self.scale = self.add_weight(shape=(), name="scale", initializer="ones")
        self.seconds, self.first, self.calls = seconds, first, 0

    def step(self, images):
        self.calls += 1
        time.sleep(self.seconds + (self.first if self.calls == 1 else 0))
        return np.float32(images.mean())

    def call(self, images):
        return self.scale * images

    def train_step(self, data):
        return {"loss": tf.ensure_shape(tf.numpy_function(self.step, [data], tf.float32), [])}


def fit(dataset, throughput, *, seconds=0.0, first=0.0, epochs=1, callbacks=(), strategy=None, **kwargs):
    """Trains, and gives the history and the logs of the steps, with the times of their begin and end."""
    with (strategy or tf.distribute.get_strategy()).scope():
        model = Sleeper(seconds, first)
        model.compile(keras.optimizers.SGD(0.1), steps_per_execution=kwargs.pop("steps_per_execution", 1))
    seen = []

    class Clock(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            self.begin = time.perf_counter()

        def on_train_batch_end(self, batch, logs=None):
            seen.append({**logs, "begin": self.begin, "end": time.perf_counter()})

    kwargs.setdefault("verbose", 0)
    history = model.fit(dataset, epochs=epochs, callbacks=[throughput, Clock(), *callbacks], **kwargs).history
    return history, seen


def images(steps, seconds=0.0, spent=None):
    """Batches that take `seconds` each to make, one after the other, and are not fetched ahead."""
    rows = tf.data.Dataset.range(steps).map(lambda step: (step, sleep(seconds, [] if spent is None else spent)))
    rows = rows.map(lambda step, zero: tf.fill([BATCH, 4], tf.cast(step, tf.float32) + tf.ensure_shape(zero, [])))
    return rows.with_options(not_ahead())


def not_ahead():
    # Otherwise tf.data fetches ahead by itself.
    options = tf.data.Options()
    options.autotune.enabled = False
    return options


def assert_left(logs, of_all, per_log=1):
    """Holds the minutes left to what the test's own clock says."""
    for number, log in enumerate(logs[1:], start=1):
        pace = (log["end"] - logs[0]["end"]) / (number * per_log)
        assert log["minutes_left"] * 60 == pytest.approx((of_all - (number + 1) * per_log) * pace, rel=0.15)


def test_wait_share_is_the_share_of_data_when_nothing_is_fetched_ahead():
    throughput, spent = Throughput(BATCH), []
    history, logs = fit(throughput.watch(images(12, 0.06, spent)), throughput, seconds=0.03)
    expected = sum(spent[1:]) / (logs[-1]["end"] - logs[0]["end"])  # of 2/3, on a machine that does nothing else
    assert 0.4 < expected < 0.7
    assert history["wait_share"][0] == pytest.approx(expected, abs=0.05)
    assert history["pairs_per_second"][0] <= BATCH / 0.09


@pytest.mark.current_stack
@pytest.mark.parametrize("watch_last", [True, False])
def test_wait_share_counts_only_what_fetching_ahead_does_not_hide(watch_last):
    # Each batch takes 60 ms, of which the step before it hides 30.
    throughput = Throughput(BATCH)
    dataset = images(12, 0.06)
    dataset = throughput.watch(dataset.prefetch(2)) if watch_last else throughput.watch(dataset).prefetch(2)
    history, _ = fit(dataset, throughput, seconds=0.03)
    assert history["wait_share"][0] == pytest.approx(0.5, abs=0.2)


@pytest.mark.current_stack
def test_wait_share_is_near_zero_when_data_are_ready():
    throughput = Throughput(BATCH)
    history, _ = fit(throughput.watch(images(12)), throughput, seconds=0.06)
    assert 0 <= history["wait_share"][0] < 0.2  # some thousandths, on a machine that does nothing else
    # Making a batch takes two thirds of a step, all of it hidden.
    throughput = Throughput(BATCH)
    history, _ = fit(throughput.watch(images(12, 0.04)).prefetch(2), throughput, seconds=0.06)
    assert 0 <= history["wait_share"][0] < 0.2


@pytest.mark.current_stack
def test_wait_share_is_logged_for_each_epoch_by_itself():
    # The first epoch's data are slow, the second's are not.
    count = iter(range(20))

    def make():
        for _ in range(10):
            time.sleep(0.06 if next(count) < 10 else 0)
            yield np.zeros([BATCH, 4], "float32")

    throughput = Throughput(BATCH)
    dataset = tf.data.Dataset.from_generator(make, output_signature=tf.TensorSpec([BATCH, 4]))
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(10)).with_options(not_ahead())
    history, _ = fit(throughput.watch(dataset), throughput, seconds=0.03, epochs=2)
    assert history["wait_share"][0] > 0.5
    assert history["wait_share"][1] < 0.25  # the first batch of an iteration is always waited for


@pytest.mark.current_stack
def test_wait_share_holds_when_one_iteration_continues_over_epochs():
    throughput = Throughput(BATCH)
    dataset = throughput.watch(images(5, 0.04).repeat())
    history, _ = fit(dataset, throughput, seconds=0.02, epochs=2, steps_per_epoch=8)
    np.testing.assert_allclose(history["wait_share"], 2 / 3, atol=0.25)
    assert history["minutes_left"][1] == 0


@pytest.mark.current_stack
def test_wait_share_holds_when_the_length_of_the_data_is_unknown():
    throughput = Throughput(BATCH)
    dataset = images(8, 0.04).filter(lambda images: True)
    history, logs = fit(throughput.watch(dataset), throughput, seconds=0.02, epochs=2)
    assert len(logs) == 16
    np.testing.assert_allclose(history["wait_share"], 2 / 3, atol=0.25)
    assert len(history["pairs_per_second"]) == 2
    assert not any("minutes_left" in each for each in [history, *logs])


@pytest.mark.current_stack
def test_wait_share_holds_when_replicas_share_a_batch(mirrored):
    def share(data_seconds, step_seconds):
        strategy, throughput = mirrored(2), Throughput(BATCH)
        with strategy.scope():
            dataset = throughput.watch(images(10, data_seconds))
        return fit(dataset, throughput, seconds=step_seconds, strategy=strategy)[0]["wait_share"][0]

    assert share(0.1, 0.0) > 0.7
    assert share(0.0, 0.06) < 0.2


def test_nothing_is_said_of_waiting_when_it_was_not_watched_or_steps_are_run_in_one():
    history, logs = fit(images(4), Throughput(BATCH), seconds=0.01)
    assert "wait_share" not in history
    assert "pairs_per_second" in history
    throughput = Throughput(BATCH)
    history, logs = fit(throughput.watch(images(8)), throughput, seconds=0.02, steps_per_execution=2)
    assert "wait_share" not in history
    assert history["pairs_per_second"][0] == pytest.approx(6 * BATCH / (logs[-1]["end"] - logs[0]["end"]), rel=0.1)
    assert_left(logs, 8, per_log=2)


def test_speed_leaves_out_the_step_that_compiles_and_the_time_between_epochs():
    pause = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: time.sleep(0.3))
    history, logs = fit(images(6), Throughput(BATCH), seconds=0.03, first=0.5, epochs=3, callbacks=[pause])
    assert "pairs_per_second" not in logs[0]
    starts = [logs[0]["end"], logs[6]["begin"], logs[12]["begin"]]
    for epoch, (steps, start) in enumerate(zip((5, 6, 6), starts)):
        last = logs[6 * epoch + 5]
        assert last["pairs_per_second"] == pytest.approx(steps * BATCH / (last["end"] - start), rel=0.1)
        assert last["pairs_per_second"] <= BATCH / 0.03
        assert history["pairs_per_second"][epoch] == last["pairs_per_second"]
    assert_left(logs, 18)  # which counts the pauses, once there was one
    assert logs[6]["minutes_left"] * 60 > 11 * 0.3 / 6
    assert logs[17]["minutes_left"] == 0


@pytest.mark.current_stack
def test_minutes_left_count_the_epochs_that_remain_when_a_run_goes_on():
    _, logs = fit(images(4), Throughput(BATCH), seconds=0.03, epochs=5, initial_epoch=3)
    assert len(logs) == 8
    assert_left(logs, 8)


def test_throughput_is_shown_in_the_progress_bar(capsys):
    throughput = Throughput(BATCH)
    fit(throughput.watch(images(4)), throughput, seconds=0.01, verbose=1)
    shown = capsys.readouterr().out
    for name in ("pairs_per_second", "wait_share", "minutes_left"):
        assert f"{name}: " in shown


def test_data_are_unchanged_when_watched():
    def views(step):
        image = tf.fill([BATCH, 4, 4, 3], tf.cast(step, tf.float32))
        return Views(image, image + 1, image[:, 0], image[:, 1], step > tf.range(8, dtype=tf.int64), step > 1)

    for make in (lambda step: step, lambda step: (step, {"a": step + 1}), views):
        dataset = tf.data.Dataset.range(3).map(make)
        watched = Throughput(BATCH).watch(dataset)
        assert watched.element_spec == dataset.element_spec
        assert type(next(iter(watched))) is type(next(iter(dataset)))
        for expected, value in zip(dataset, watched, strict=True):
            tf.nest.map_structure(np.testing.assert_array_equal, value, expected)
        assert watched.cardinality() == 3
        assert Throughput(BATCH).watch(dataset.repeat()).cardinality() == tf.data.INFINITE_CARDINALITY


@pytest.mark.current_stack
def test_is_refused_when_given_what_it_cannot_use():
    with pytest.raises(UserError, match="batch_size is 0"):
        Throughput(0)
    with pytest.raises(UserError, match=r"watch takes a tf.data.Dataset, not list"):
        Throughput(BATCH).watch([1, 2])
