import keras
import numpy as np
import pytest

from kerassl import UserError, backbones, optimizers
from kerassl.callbacks import EMA, ReestimateBatchNorm, Resume
from kerassl.callbacks.state import weights

OPTIMIZERS = ["adamw", pytest.param("tfa/LAMB", marks=pytest.mark.addons_stack)]


def weights_of(model):
    return [np.array(each.numpy()) for each in weights(model)]


class Steps(keras.callbacks.Callback):
    """The weights after every step, and while the model is validated."""

    def on_train_begin(self, logs=None):
        self.steps, self.validated, self.training = [weights_of(self.model)], [], True

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append(weights_of(self.model))

    def on_test_begin(self, logs=None):
        self.validated.append(weights_of(self.model))


def averages(steps, decay):
    """After each step, in plain loops."""
    mean, found = [np.asarray(w, "float64") for w in steps[0]], []
    for t, each in enumerate(steps[1:]):
        share = min(decay, (1 + t) / (10 + t))
        mean = [share * m + (1 - share) * w for m, w in zip(mean, each)]
        found.append(mean)
    return found


def assert_close(weights, expected):
    for value, other in zip(weights, expected):
        np.testing.assert_allclose(value, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_average_equals_loops_in_validation_and_at_the_end(optimizer, classifier, classed):
    model, ema, steps = classifier(optimizers.get(optimizer, 1e-2)), EMA(0.3), Steps()
    model.fit(classed(), epochs=3, validation_data=classed(4), verbose=0, callbacks=[steps, ema])
    expected = averages(steps.steps, 0.3)  # warming up to step 3
    assert len(expected) == 9
    for epoch, each in enumerate(steps.validated, start=1):
        assert_close(each, expected[3 * epoch - 1])
    assert_close(weights_of(model), expected[-1])
    ema.swap()
    np.testing.assert_equal(weights_of(model), steps.steps[-1])  # to the bit


def test_continued_run_continues_from_weights_and_averages_to_the_bit(classifier, classed, tmp_path):
    def run(folder, epochs):
        model, ema = classifier(keras.optimizers.Adam(1e-2)), EMA(0.9)
        resume = Resume(folder, beside=[ema])
        resume.wrap_fit(model, model.fit, classed(), epochs=epochs, verbose=0, callbacks=[ema, resume])
        return weights_of(model)

    whole = run(tmp_path / "whole", 3)
    run(tmp_path / "parts", 1)
    np.testing.assert_equal(run(tmp_path / "parts", 3), whole)
    np.testing.assert_equal(run(tmp_path / "parts", 3), whole)  # nothing was left to do


def test_second_fit_continues_from_the_weights(classifier, classed):
    whole, parts = classifier(keras.optimizers.Adam(1e-2)), classifier(keras.optimizers.Adam(1e-2))
    whole.fit(classed(), epochs=2, verbose=0, callbacks=[EMA(0.9)])
    ema = EMA(0.9)
    for _ in range(2):
        parts.fit(classed(), verbose=0, callbacks=[ema])
    np.testing.assert_equal(weights_of(parts), weights_of(whole))


@pytest.mark.current_stack
def test_average_equals_loops_on_two_replicas(classifier, classed, mirrored):
    with mirrored(2).scope():
        model = classifier(keras.optimizers.SGD(0.1))
    steps = Steps()
    model.fit(classed(8), epochs=2, verbose=0, callbacks=[steps, EMA(0.5)])
    expected = averages(steps.steps, 0.5)
    assert len(expected) == 4
    assert_close(weights_of(model), expected[-1])


class Worse(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        logs["val_worse"] = float(epoch)


@pytest.mark.parametrize(("order", "validated"), [((0, 1, 2), True), ((2, 0, 1), False)])
def test_best_weights_are_averages_in_any_order_of_callbacks(order, validated, classifier, classed, tmp_path):
    model, ema, steps = classifier(keras.optimizers.Adam(1e-2)), EMA(0.5), Steps()
    best = keras.callbacks.EarlyStopping("val_worse", patience=1, mode="min", restore_best_weights=True)
    path = str(tmp_path / "best.weights.h5")
    kept = keras.callbacks.ModelCheckpoint(path, "val_worse", mode="min", save_best_only=True, save_weights_only=True)
    chosen = [(best, kept)[each] if each < 2 else ema for each in order]
    data = {"validation_data": classed(4)} if validated else {}
    model.fit(classed(), epochs=4, verbose=0, callbacks=[steps, Worse(), *chosen], **data)
    assert best.stopped_epoch == 1
    expected = averages(steps.steps, 0.5)[2]  # after three steps, the first epoch
    assert_close(weights_of(model), expected)
    model.load_weights(path)
    assert_close(weights_of(model), expected)


def test_resume_without_the_average_is_refused(classifier, classed, tmp_path):
    model = classifier(keras.optimizers.SGD(0.1))
    with pytest.raises(UserError, match=r"beside=\[ema\]"):
        model.fit(classed(), verbose=0, callbacks=[Resume(tmp_path), EMA(0.9)])


def test_statistics_are_measured_again_of_the_averaged_weights(classifier, classed):
    model, again = classifier(keras.optimizers.Adam(1e-2)), classed()
    callbacks = [EMA(0.5), ReestimateBatchNorm(again, steps=2)]
    losses = model.fit(classed(), epochs=2, validation_data=classed(4), verbose=0, callbacks=callbacks).history
    before = weights_of(model)
    assert np.isfinite(losses["val_loss"]).all()
    assert backbones.reestimate_batch_norm(model, again, steps=2) == 8
    np.testing.assert_equal(weights_of(model), before)


@pytest.mark.parametrize("decay", [1.0, -0.1])
def test_decay_is_refused_when_out_of_range(decay):
    with pytest.raises(UserError, match="decay is"):
        EMA(decay)


def test_steps_are_refused_when_not_whole():
    with pytest.raises(UserError, match="steps is 0"):
        ReestimateBatchNorm([], steps=0)
