"""Training that continues from a model file."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerassl
from kerassl import _compat, detectors, models, optimizers
from kerassl.augment import SimCLRViews

IMAGES = np.random.default_rng(0).uniform(0, 255, (4, 64, 64, 3)).astype("float32")
LABELS = np.array([0, 1] * 2, "int32")
BOXES = np.tile(np.float32([0.1, 0.1, 0.5, 0.5]), (4, 1))


def made(kind, name, backbone):
    """A compiled model of other settings than the defaults, and what it is trained on."""
    backbone.get_layer("bn2").trainable = False
    if kind in SETTINGS:
        targets = {"boxes": 64 * BOXES[:, None], "classes": LABELS[:, None].astype("float32")}
        if kind == "Localizer":
            targets = {"class": LABELS, "box": BOXES}
        model = getattr(detectors, kind)(backbone, ["a", "b"], 64, **SETTINGS[kind])
        model.compile(name, weight_decay=0.1, lr_multipliers={"backbone": 0.1, "head": 0.5})
        return model, tf.data.Dataset.from_tensors((IMAGES, targets))
    data = tf.data.Dataset.from_tensors(IMAGES)
    views = {"hidden_dim": 8, "projection_dim": 4, "augmentation": SimCLRViews(64), "seed": 6}
    if kind == "ViewClassifier":
        model, data = models.ViewClassifier(backbone, ["a", "b"], 64), tf.data.Dataset.from_tensors((IMAGES, LABELS))
    elif kind == "DenseSimCLR":
        dense = {"levels": ["P3", "P5"], "dense_weight": 0.3, "dense_temperature": 0.4, "locations_per_image": 4}
        model = models.DenseSimCLR(backbone, 64, dense_hidden_dim=8, tile_size=9, **dense, **views)
    else:
        model = kerassl.SimCLR(backbone, 64, temperature=0.3, **views)
    schedule = optimizers.WarmupCosine(0.05, 20, 2)
    model.compile(optimizers.get(name, schedule, weight_decay=0.1, variables=model.trainable_variables))
    return model, data


def config_of(model):
    return {key: value for key, value in model.get_config().items() if key != "backbone"}


SETTINGS = {
    "Localizer": {"num_filters": 8, "levels": ["P4", "P5"]},
    "RetinaNet": {"num_filters": 32, "anchor_sizes": [20, 30, 60, 120, 240]},
    "YOLOV8": {"num_filters": 8, "depth": 2},
}
ADDONS = [("SimCLR", "tfa/LAMB"), ("ViewClassifier", "tfa/AdamW"), ("Localizer", "tfa/LAMB")]
CASES = [("SimCLR", "lars"), ("DenseSimCLR", "adamw"), ("ViewClassifier", "lars"), ("Localizer", "adamw")]
CASES += [pytest.param(kind, "adamw", marks=pytest.mark.current_stack) for kind in ("RetinaNet", "YOLOV8")]


@pytest.mark.parametrize(
    ("kind", "name"), CASES + [pytest.param(*case, marks=pytest.mark.addons_stack) for case in ADDONS]
)
def test_training_continues_to_the_same_bits_when_model_was_saved_and_loaded(kind, name, tiny_backbone, tmp_path):
    model, data = made(kind, name, tiny_backbone())
    model.run_eagerly = True  # tracing takes longer than a few steps
    steps = 1 if kind in SETTINGS else 2  # the schedule of the others begins at 0
    model.fit(data.repeat(steps), verbose=0, shuffle=False)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    loaded.run_eagerly = True
    assert type(loaded) is type(model)
    assert config_of(loaded) == config_of(model)
    assert getattr(loaded, "lr_multipliers", None) == getattr(model, "lr_multipliers", None)
    assert len(loaded.trainable_weights) == len(model.trainable_weights)
    assert len(loaded.backbone.variables) == len(tiny_backbone().variables)
    assert int(loaded.optimizer.iterations) == steps
    slots = [_compat.optimizer_variables(each.optimizer) for each in (model, loaded)]
    assert len(slots[0]) == len(slots[1]) > 2
    histories = [each.fit(data, verbose=0, shuffle=False).history["loss"] for each in (model, loaded)]
    assert histories[0] == histories[1]
    # Weight decay is large: identical bits also show that biases and norms are still spared.
    for value, expected in zip(loaded.weights, model.weights):
        np.testing.assert_array_equal(value.numpy(), expected.numpy())
