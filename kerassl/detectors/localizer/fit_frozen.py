"""Training of a localizer's neck and head on features that were computed once."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np

from kerassl import _compat, optimizers
from kerassl._compat import keras, tf
from kerassl._errors import UserError
from kerassl._numbers import check
from kerassl.datasets.class_names import check_numbering
from kerassl.detectors.localizer.frozen_features import FrozenFeatures, check_backbone
from kerassl.detectors.localizer.head import CLASS_LAYER, copy_weights, localizer_outputs
from kerassl.detectors.localizer.localizer import Localizer, symbolic_labels
from kerassl.detectors.localizer.losses import LocationLoss, localizer_objectives
from kerassl.detectors.supervised import Supervised


def fit_frozen(
    features: FrozenFeatures,
    class_names: Sequence[str],
    *,
    epochs: int = 12,
    batch_size: int = 32,
    learning_rate: float | keras.optimizers.schedules.LearningRateSchedule = 1e-3,
    optimizer: str | keras.optimizers.Optimizer = "adamw",
    num_filters: int = 128,
    class_weight: float = 2.0,
    start: Localizer | None = None,
    seed: int = 0,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int = 0,
) -> Localizer:
    """Train neck and head of a `Localizer` on precomputed features of a frozen backbone.

    The head sees each image or its mirror image, in another order each epoch. The backbone is part of the result
    unchanged, which predicts, explains, saves and exports like any other localizer.

    Args:
        features: `FrozenFeatures` of the training images, with `flip=True`.
        class_names: sequence of str.
        epochs: int. 12 suit 1,000 images.
        batch_size: int.
        learning_rate: float, the maximum of a warm-up over a twentieth of the steps and a cosine decay to 0; or a
            schedule.
        optimizer: as `Localizer.compile` takes it.
        num_filters: int, the channels of the neck.
        class_weight: float. Multiplies the loss of the class.
        start: `Localizer` of the same backbone, num_filters and levels, or None. Neck and box head start from its
            weights, and its maps' mean and deviation stay, as `detectors.pretrain_localizer` left them; its classes
            may differ.
        seed: int. Sets the seed of the whole process: of the weights at the start, the order and the flips.
        callbacks: Keras callbacks for `fit`.
        verbose: as `fit` takes it.

    Returns:
        `Localizer`, not compiled; `history` holds what `fit` returned.

    Raises:
        UserError: if the records were numbered by other names, the backbone was changed since the features were
            computed, they have no mirror images, or `start` differs in backbone, num_filters or levels.

    Example:
        >>> features = kerassl.detectors.FrozenFeatures(backbone, records, 224)
        >>> localizers = [kerassl.detectors.fit_frozen(features, classes, seed=seed) for seed in range(3)]
    """
    check_numbering(features.records, class_names)
    check_backbone(features, features.backbone, features.image_size, features.levels)
    if start is not None:
        _check_start(start, features, num_filters)
    keras.utils.set_random_seed(check(seed=seed))
    check(epochs=epochs, batch_size=batch_size)
    if isinstance(learning_rate, (int, float)):
        steps = math.ceil(len(features) / batch_size) * epochs
        learning_rate = optimizers.WarmupCosine(learning_rate, steps, steps // 20)
    localizer = Localizer(features.backbone, class_names, features.image_size, num_filters, features.levels)
    head = _head(localizer, features, learning_rate, optimizer, class_weight)
    if start is None:
        for level, moments in zip(features.levels, features.statistics):
            head.get_layer(f"standard_{level.lower()}").set_weights(moments)
    else:
        copy_weights(start, head, [layer for layer in head.layers if layer.name != CLASS_LAYER])
    batches = features.batches(batch_size, shuffle=True, flip=True, seed=seed)
    batches = batches.map(lambda maps, targets: (maps, {**targets, "cells": targets["box"]}))
    head.fit(batches, epochs=epochs, callbacks=list(callbacks), verbose=verbose, shuffle=False)
    copy_weights(head, localizer, head.layers)
    localizer.history = head.history
    return localizer


def _check_start(start, features, num_filters):
    if start.num_filters != num_filters:
        raise UserError(
            f"start has a neck of {start.num_filters} channels, and num_filters is {num_filters}; give both the same"
        )
    check_backbone(features, start.backbone, start.image_size, start.levels)


def _head(localizer, features, learning_rate, optimizer, class_weight):
    """The localizer's neck and head as a compiled model of their own, with a fresh optimizer."""
    shapes = tuple(tuple(level.shape[2:]) for level in features.maps)
    form = (shapes, localizer.levels, len(localizer.class_names), localizer.num_filters, class_weight)
    if isinstance(optimizer, str) and isinstance(learning_rate, optimizers.WarmupCosine):
        place = localizer.get_layer("sides").compute_dtype, tf.distribute.get_strategy()
        head, fresh = _traced_once(*place, *form, tuple(learning_rate.get_config().items()), optimizer)
    else:
        head, fresh = _compiled(*form, learning_rate, optimizer)
    copy_weights(localizer, head, head.layers)
    for variable, value in zip(_compat.optimizer_variables(head.optimizer), fresh):
        variable.assign(value)
    return head


@functools.lru_cache(maxsize=4)
def _traced_once(dtype, strategy, shapes, levels, classes, num_filters, class_weight, rate, optimizer):
    """One head for all trainings that differ in numbers alone: tracing its step takes seconds each time.

    Type and strategy are those of the process, which distinguish heads.
    """
    return _compiled(
        shapes, levels, classes, num_filters, class_weight, optimizers.WarmupCosine(**dict(rate)), optimizer
    )


class _Head(Supervised):
    """Neck and head on feature maps, with the outputs of each location."""

    def __init__(self, maps, outputs, class_weight):
        super().__init__(maps, outputs, name="feature_head")
        self._class_weight = class_weight

    def _objectives(self):
        return localizer_objectives(self._class_weight, cells=LocationLoss())

    def symbolic_labels(self) -> dict:
        labels = symbolic_labels()
        return {**labels, "cells": labels["box"]}


def _compiled(shapes, levels, classes, num_filters, class_weight, learning_rate, optimizer):
    maps = [keras.Input(shape) for shape in shapes]
    head = _Head(maps, localizer_outputs(maps, classes, num_filters, levels, locations=True), class_weight)
    head.compile(optimizer, learning_rate)
    _compat.build_step(head, head.symbolic_labels())
    return head, [np.array(variable) for variable in _compat.optimizer_variables(head.optimizer)]
