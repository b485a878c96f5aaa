"""Learning rates by part, against two optimizers by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerassl import UserError, detectors, optimizers
from kerassl.backbones import parts


def model_of(tiny_backbone, optimizer, rates, clip_norm=None, decay=0.1, rate=0.05):
    keras.utils.set_random_seed(0)
    settings = {} if optimizer.startswith("tfa/") else {"weight_decay": decay}
    model = detectors.Localizer(tiny_backbone(), ["red", "blue"], 64, num_filters=8)
    model.compile(optimizer, rate, lr_multipliers=rates, clip_norm=clip_norm, **settings)
    return model


def examples():
    rng = np.random.default_rng(0)
    boxes = np.tile(np.array([[0.2, 0.3, 0.6, 0.8]], "float32"), (8, 1))
    targets = {"class": rng.integers(0, 2, 8).astype("int32"), "box": boxes}
    return tf.data.Dataset.from_tensors((rng.uniform(0, 255, (8, 64, 64, 3)).astype("float32"), targets))


def by_hand(tiny_backbone, optimizer, rate, decay, rates, steps):
    """Each part with an optimizer of its own."""
    model = model_of(tiny_backbone, optimizer, None, decay=decay)
    (images, targets), *_ = list(examples())
    groups = []
    for part, layers in parts(model).items():
        variables = [variable for layer in layers for variable in layer.trainable_variables]
        factor = rates.get(part, rates.get("backbone", 1) if part not in ("neck", "head") else 1)
        settings = {} if optimizer.startswith("tfa/") else {"weight_decay": decay}
        made = optimizers.get(optimizer, rate * factor, variables=variables, **settings)
        groups.append((made, variables))

    for _ in range(steps):
        with tf.GradientTape() as tape:
            outputs = model(images, training=True)
            loss = model.compute_loss(images, targets, outputs)
        gradients = tape.gradient(loss, [variables for _, variables in groups])
        for (made, variables), own in zip(groups, gradients):
            if variables:
                made.apply_gradients(zip(own, variables))
    return model


HERE = [pytest.param(name, marks=pytest.mark.current_stack) for name in ("adamw", "lars")]
ADDONS = pytest.param("tfa/NovoGrad", marks=pytest.mark.addons_stack)


@pytest.mark.parametrize("optimizer", [*HERE, ADDONS])
def test_parts_learn_as_with_an_optimizer_each(optimizer, tiny_backbone):
    rates, rate, decay = {"backbone": 0.1, "P5": 0.5, "head": 2.0}, {"lars": 1.0}.get(optimizer, 0.01), 0.1
    model = model_of(tiny_backbone, optimizer, rates, decay=decay, rate=rate)
    model.run_eagerly = True  # its graph would take longer to build
    start = {layer.name: [np.array(v) for v in layer.trainable_variables] for layer in model.layers}
    model.fit(examples().repeat(2), verbose=0)
    hand = by_hand(tiny_backbone, optimizer, rate, decay, rates, 2)
    for part, layers in parts(model).items():
        names = [layer.name for layer in layers if layer.trainable_variables]
        if not names:
            continue
        learned, expected = (
            np.concatenate([(np.array(v) - start[n][i]).ravel() for n in names for i, v in weights(each, n)])
            for each in (model, hand)
        )
        # By the norm: Adam takes full steps along gradients that are rounding errors.
        assert np.linalg.norm(learned - expected) < 1e-2 * np.linalg.norm(expected), part


def weights(model, name):
    found = list(enumerate(model.get_layer(name).trainable_variables))
    # The softmax over locations takes no notice of their bias, whose gradient is rounding error.
    return found[:1] if name == "cell_scores" else found


def test_layers_decay_from_the_neck_down():
    assert optimizers.layer_decay(0.5) == {"P5": 0.5, "P4": 0.25, "P3": 0.125, "stem": 0.0625}


@pytest.mark.parametrize(
    ("rates", "message"), [({"body": 1.0}, "no part 'body'"), ({"head": 0}, "freeze"), ({"neck": "x"}, "'x' times")]
)
def test_rates_are_refused_when_part_or_factor_is_wrong(rates, message, tiny_backbone):
    with pytest.raises(UserError, match=message):
        detectors.Localizer(tiny_backbone(), ["red"], 64).compile(lr_multipliers=rates)
