"""Stages that are frozen and unfreeze while `fit` runs."""

import keras
import numpy as np
import pytest

from kerassl import SimCLR, UserError, _compat, backbones
from kerassl.callbacks import GradualUnfreezing, Resume

OPTIMIZERS = [
    pytest.param("adamw", marks=pytest.mark.current_stack),
    "lars",
    pytest.param("tfa/LAMB", marks=pytest.mark.addons_stack),
]


class Recorder(keras.callbacks.Callback):
    """The weights of each stage at the end of each epoch, and how often the step was traced."""

    def __init__(self):
        super().__init__()
        self.epochs, self.traces = [], []

    def on_train_begin(self, logs=None):
        self.epochs.append(stage_weights(self.model))
        step = self.model.train_step

        def counted(*args):
            self.traces[-1] += 1
            return step(*args)

        self.model.train_step = counted
        self.model.make_train_function(force=True)

    def on_epoch_begin(self, epoch, logs=None):
        self.traces.append(0)

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append(stage_weights(self.model))

    def moved(self, stage):
        """Whether a stage's weights changed, epoch by epoch: any of them, and all of them."""
        pairs = list(zip(self.epochs, self.epochs[1:]))
        same = [[np.array_equal(a, b) for a, b in zip(first[stage], second[stage])] for first, second in pairs]
        return ["no" if all(each) else "part" if any(each) else "all" for each in same]


def stage_weights(model):
    parts = backbones.parts(model)
    return {part: [w.copy() for layer in layers for w in layer.get_weights()] for part, layers in parts.items()}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_frozen_stages_keep_every_bit_until_they_unfreeze(optimizer, localizer, labeled):
    rate = {"lars": 0.1}.get(optimizer, 1e-2)
    decay = {} if optimizer == "tfa/LAMB" else {"weight_decay": 0.1}
    model, recorder = localizer(optimizer=optimizer, learning_rate=rate, **decay), Recorder()
    model.run_eagerly = optimizer != "lars"  # the graph of one is enough
    unfreeze = GradualUnfreezing({"P5": 1, "P4": 1, "P3": 2, "stem": None})
    model.fit(labeled(4), epochs=4, verbose=0, callbacks=[recorder, unfreeze])
    assert recorder.moved("stem") == ["no"] * 4  # weights and moving statistics
    assert recorder.moved("P3") == ["no", "no", "all", "all"]
    assert recorder.moved("P4") == recorder.moved("P5") == ["no", "all", "all", "all"]
    assert "no" not in recorder.moved("neck") + recorder.moved("head")
    if not model.run_eagerly:  # once for each set of stages; Keras may trace its very first step twice
        assert recorder.traces[1:] == [1, 1, 0]
    assert all(layer.trainable for layer in model.backbone.layers)


@pytest.mark.current_stack
def test_slots_of_frozen_stages_stay_and_those_of_others_are_the_same_as_ever(localizer, labeled):
    model = localizer(optimizer=keras.optimizers.SGD(0.01, momentum=0.9))
    _compat.build_optimizer(model.optimizer, model.trainable_variables)
    names = [id(_compat.tf_variable(variable)) for variable in model.trainable_variables]
    model.run_eagerly = True
    model.fit(labeled(4), verbose=0)

    def slots():
        found = [v.numpy() for v in _compat.optimizer_variables(model.optimizer) if len(v.shape)]
        return dict(zip(names, found))

    before = slots()
    frozen = [id(_compat.tf_variable(v)) for v in model.backbone.trainable_variables]
    model.fit(labeled(4), epochs=1, verbose=0, callbacks=[GradualUnfreezing({"backbone": None})])
    after = slots()
    assert len(after) == len(names)
    for name in names:
        assert np.array_equal(before[name], after[name]) == (name in frozen)


@pytest.mark.current_stack
def test_unfrozen_run_that_is_continued_ends_with_the_bits_of_an_uninterrupted_one(localizer, labeled, tmp_path):
    def run(folder, epochs):
        model, resume = localizer(learning_rate=1e-2), Resume(folder)
        model.run_eagerly = True  # six graphs would take longer to build, and are in question above
        callbacks = [GradualUnfreezing({"P5": 1, "P4": 2, "P3": 2, "stem": 2}), resume]
        model.fit(labeled(4), epochs=epochs, verbose=0, callbacks=callbacks)
        return model

    whole = run(tmp_path / "whole", 3)
    run(tmp_path / "parts", 1)
    parts = run(tmp_path / "parts", 3)
    for expected, value in zip(whole.get_weights(), parts.get_weights()):
        np.testing.assert_array_equal(value, expected)


@pytest.mark.current_stack
def test_batch_norm_that_is_frozen_by_itself_does_not_unfreeze(localizer, labeled):
    model = localizer()
    model.run_eagerly = True
    assert backbones.freeze_batch_norm(model.backbone) == 5
    before = [layer.get_weights() for layer in model.backbone.layers if "bn" in layer.name]
    kernel = model.get_layer("conv4").get_weights()[0]
    model.fit(labeled(4), epochs=2, verbose=0, callbacks=[GradualUnfreezing({"backbone": 1})])
    np.testing.assert_equal([layer.get_weights() for layer in model.backbone.layers if "bn" in layer.name], before)
    assert not np.array_equal(model.get_layer("conv4").get_weights()[0], kernel)


@pytest.mark.current_stack
def test_pre_training_unfreezes_too(tiny_backbone):
    model = SimCLR(tiny_backbone(), 32, hidden_dim=8, projection_dim=4)
    model.compile("lars", run_eagerly=True)
    images = np.random.default_rng(0).uniform(0, 255, (8, 32, 32, 3)).astype("float32")
    kernels = [model.backbone.get_layer(name).get_weights()[0] for name in ("conv2", "conv5")]
    model.fit(images, batch_size=8, epochs=2, verbose=0, callbacks=[GradualUnfreezing({"stem": None, "P5": 1})])
    same = [
        np.array_equal(model.backbone.get_layer(name).get_weights()[0], kernel)
        for name, kernel in zip(("conv2", "conv5"), kernels)
    ]
    assert same == [True, False]


@pytest.mark.parametrize(
    ("schedule", "message"),
    [({"P6": 1}, "no part 'P6'"), ({"head": 1}, "no part 'head'"), ({"P5": -1}, "-1 epochs"), ({"P5": 1.5}, "1.5 ep")],
)
def test_schedule_is_refused_when_stage_or_number_is_wrong(schedule, message):
    with pytest.raises(UserError, match=message):
        GradualUnfreezing(schedule)


@pytest.mark.current_stack
def test_model_that_is_frozen_already_is_refused(localizer, labeled):
    model = localizer()
    model.backbone.trainable = False
    with pytest.raises(UserError, match="without freeze"):
        model.fit(labeled(), verbose=0, callbacks=[GradualUnfreezing({"backbone": 1})])
    dense = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    dense.compile("sgd", "mse")
    with pytest.raises(UserError, match="no backbone"):
        dense.fit(np.zeros((4, 4)), np.zeros((4, 2)), verbose=0, callbacks=[GradualUnfreezing({"backbone": 1})])
