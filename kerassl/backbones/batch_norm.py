"""Batch normalization in fine-tuning: frozen, or re-estimated."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np

from kerassl._errors import UserError
from kerassl._lazy import compat as _compat
from kerassl._lazy import keras, tf


def batch_norms(model: keras.Model) -> list[keras.layers.Layer]:
    """All batch-normalization layers that a model runs, those of nested models too."""
    found, unused = [], getattr(model, "unused", ())
    for layer in model.layers:
        if layer.name in unused:
            continue
        if isinstance(layer, keras.layers.BatchNormalization):
            found.append(layer)
        elif isinstance(layer, keras.Model):
            found += batch_norms(layer)
    return found


def freeze_batch_norm(model: keras.Model) -> keras.Model:
    """Hold a model's batch normalization as it is: "frozen BN", as detectors with small batches use it.

    While training, too, the layers then normalize by their moving statistics, which stay, and their scales and offsets
    stay as well. Call it before the model is compiled, or on the backbone before the detector is built.

    Args:
        model: `keras.Model`.

    Returns:
        int, the number of layers.

    Example:
        >>> kerassl.backbones.freeze_batch_norm(kerassl.backbones.build("EfficientNetB1"))
        69
    """
    layers = batch_norms(model)
    for layer in layers:
        layer.trainable = False
    return len(layers)


def reestimate_batch_norm(model: keras.Model, batches: Iterable, steps: int | None = None, measure: Any = None) -> int:
    """Re-estimate the moving statistics: exact averages over many images ("precise batch norm").

    They lag behind the weights while a model is trained, and belong to no weights at all when weights were averaged.
    Here the images go through the model as in training, and each layer's mean and variance become those of all values
    that it saw: `mean = sum(n m) / sum(n)` and `variance = sum(n (v + m^2)) / sum(n) - mean^2` over batches of `n`
    images with mean `m` and variance `v`, in float64. (Keras 2.15's own layers give `v` with `n - 1` in place of `n`.)
    Frozen layers keep theirs; no other weight changes.

    Args:
        model: `keras.Model`.
        batches: `tf.data.Dataset` or another iterable of images `[B, H, W, 3]`, of (images, labels), or of dicts with
            `"images"`; all images of one size. What has `begin`, as the readers' data sets, is read from its epoch 0.
        steps: int or None. At most so many batches; 100 to 200 suffice.
        measure: what `measurer(model)` returned, to trace the model once for many calls; or None.

    Returns:
        int, the number of images; 0 where all layers are frozen, or there are none.

    Raises:
        UserError: if there is no batch.

    Example:
        >>> kerassl.backbones.reestimate_batch_norm(detector, batches, steps=100)
        1600
    """
    measure = measurer(model) if measure is None else measure
    if not measure.variables:
        return 0
    if hasattr(batches, "begin"):
        batches.begin(0)
    count: int = 0
    firsts: Any = 0.0
    seconds: Any = 0.0
    before = [each.numpy() for each in measure.variables]
    try:
        for batch in itertools.islice(batches, steps):
            images = _images(batch)
            values = np.concatenate([value.numpy() for value in measure(images)]).astype(np.float64)
            means, variances = np.split(values, 2)
            number = int(images.shape[0])
            count, firsts, seconds = count + number, firsts + number * means, seconds + number * (variances + means**2)
        if not count:
            raise UserError("there is no batch to measure batch normalization on; give a data set with images")
        means = firsts / count
        found = np.concatenate([means, np.maximum(seconds / count - means**2, 0.0)])
        widths = np.cumsum([int(each.shape[0]) for each in measure.variables])
        before = np.split(found, widths[:-1])
    finally:
        for variable, value in zip(measure.variables, before):
            variable.assign(value.astype(variable.dtype.as_numpy_dtype))
    return count


def measurer(model: keras.Model):
    """A function that gives the statistics of a batch of images: those of the layers that are not frozen now.

    Args:
        model: `keras.Model`.

    Returns:
        Function of images `[B, H, W, 3]` to a list of float32 vectors, the means of all layers and then their
        variances. It leaves them in its `variables`, which hold something else after that.
    """
    layers = [layer for layer in batch_norms(model) if layer.trainable]
    variables = [_compat.tf_variable(layer.moving_mean) for layer in layers]
    variables += [_compat.tf_variable(layer.moving_variance) for layer in layers]
    shares = [1 - layer.momentum for layer in layers] * 2

    @tf.function(reduce_retracing=True)
    def measured(images):
        for variable in variables:
            variable.assign(tf.zeros_like(variable))  # what the layer then puts there is `1 - momentum` of its batch's
        model(images, training=True)
        return [variable.read_value() / share for variable, share in zip(variables, shares)]

    def measure(images):
        with model.distribute_strategy.scope():
            return measured(images)

    measure.variables, measure.layers = variables, layers  # type: ignore[attr-defined]
    return measure


def _images(batch):
    if isinstance(batch, dict):
        return batch["images"]
    return batch[0] if isinstance(batch, (tuple, list)) else batch
