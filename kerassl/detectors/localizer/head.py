"""Neck and head of the localizer: from feature maps to one class and one box."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence

from kerassl import backbones
from kerassl._compat import keras, tf
from kerassl.detectors.localizer.levels import NECK_LEVELS

CLASS_LAYER = "class"
"""The only layer whose shape depends on the number of classes."""


def location_boxes(sides: tf.Tensor) -> tf.Tensor:
    """Decode the box that each location proposes.

    Args:
        sides: `[B, h, w, 4]`, the distances from the location's center to the left, upper, right and lower side before
            the softplus.

    Returns:
        `[B, h, w, 4]`, xyxy in units of the image's side.
    """
    height, width = tf.shape(sides)[1], tf.shape(sides)[2]
    x = (tf.range(width, dtype=sides.dtype) + 0.5) / tf.cast(width, sides.dtype)
    y = (tf.range(height, dtype=sides.dtype) + 0.5) / tf.cast(height, sides.dtype)
    center = tf.stack(tf.meshgrid(x, y), -1)  # [h, w, 2]
    distance = tf.nn.softplus(sides)  # never negative: the right side cannot pass the left one
    return tf.concat([center - distance[..., :2], center + distance[..., 2:]], -1)


@keras.saving.register_keras_serializable(package="kerassl")
class BoxVote(keras.layers.Layer):
    """Weighted mean of the boxes that the locations of a feature map propose.

    All locations share their kernels, so that nothing has to be learned again for each position, as by a dense layer
    over the flattened map; global pooling would lose the position.

    Call arguments:
        inputs: weights `[B, h, w, 1]` that sum to 1 over the locations, and sides `[B, h, w, 4]`, as `location_boxes`
            takes them.

    Returns:
        `[B, 4]`, xyxy in units of the image's side.
    """

    def call(self, inputs: Sequence[tf.Tensor]) -> tf.Tensor:
        weights, sides = inputs
        boxes = location_boxes(sides)
        return tf.reduce_sum(weights * boxes, [1, 2])

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return (input_shape[0][0], 4)


@keras.saving.register_keras_serializable(package="kerassl")
class LocationSoftmax(keras.layers.Layer):
    """Softmax over the locations of a feature map `[B, h, w, 1]`."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        shape = tf.shape(inputs)
        return tf.reshape(tf.nn.softmax(tf.reshape(inputs, [shape[0], -1])), shape)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape


@keras.saving.register_keras_serializable(package="kerassl")
class WeightedPooling(keras.layers.Layer):
    """Mean of a feature map `[B, h, w, C]` by the weights `[B, h, w, 1]` of its locations: `[B, C]`."""

    def call(self, inputs: Sequence[tf.Tensor]) -> tf.Tensor:
        features, weights = inputs
        return tf.reduce_sum(features * weights, [1, 2])

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return (input_shape[0][0], input_shape[0][-1])


@keras.saving.register_keras_serializable(package="kerassl")
class Standardize(keras.layers.Layer):
    """Standardize a feature map by a mean and a deviation for each channel.

    Both are weights that are not trained; until they are set the map passes unchanged. Features of networks from random
    initialization are orders of magnitude smaller or larger than those of trained ones, which would demand other
    learning rates.
    """

    def build(self, input_shape: tuple) -> None:
        shape = (input_shape[-1],)
        self.mean = self.add_weight(name="mean", shape=shape, initializer="zeros", trainable=False)
        self.deviation = self.add_weight(name="deviation", shape=shape, initializer="ones", trainable=False)
        self.built = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return (inputs - tf.cast(self.mean, inputs.dtype)) / tf.cast(self.deviation, inputs.dtype)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape

    def get_config(self) -> dict:
        return super().get_config()  # Keras 3 cannot save a layer with a precision policy that lacks this method


@keras.saving.register_keras_serializable(package="kerassl")
class Beside(keras.layers.Layer):
    """Return the first input. The layers of the second so belong to the model and are saved with it."""

    def call(self, inputs: Sequence[tf.Tensor]) -> tf.Tensor:
        return inputs[0]

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape[0]


def localizer_outputs(
    maps: Sequence[tf.Tensor],
    classes: int,
    num_filters: int,
    levels: Sequence[str] = NECK_LEVELS,
    locations: bool = False,
) -> dict[str, tf.Tensor]:
    """Build neck and head on feature maps.

    Args:
        maps: Keras tensors, one for each of the levels.
        classes: int, how many.
        num_filters: int, the channels of the neck.
        levels: sequence of str, as `levels.check_neck_levels` takes them; the locations are those of the first.
        locations: bool. Return the outputs of each location, too.

    Returns:
        Dict of Keras tensors, logits `"class"` `[B, C]` and `"box"` `[B, 4]` xyxy in units of the image's side; and
        with `locations` `"cells"` `[B, h, w, 5]`, each one's score before the softmax and its sides.
    """
    wide = keras.mixed_precision.global_policy().variable_dtype
    maps = [Standardize(name=f"standard_{level.lower()}", dtype=wide)(part) for level, part in zip(levels, maps)]
    parts = []
    for level, part in list(zip(levels, maps))[::-1]:  # the order in which new weights are drawn
        part = keras.layers.Conv2D(num_filters, 1, use_bias=False, name=f"neck_{level.lower()}")(part)
        factor = 2 ** levels.index(level)
        parts.append(keras.layers.UpSampling2D(factor, name=f"neck_up_{level.lower()}")(part) if factor > 1 else part)
    x = keras.layers.Add(name="neck_add")(parts[::-1]) if len(parts) > 1 else parts[0]  # [B, h, w, num_filters]
    x = _normalized(x, "neck")
    for number in (1, 2):
        x = keras.layers.Conv2D(num_filters, 3, padding="same", use_bias=False, name=f"head_conv{number}")(x)
        x = _normalized(x, f"head_{number}")
    scores = keras.layers.Conv2D(1, 1, name="cell_scores")(x)
    weights = LocationSoftmax(name="cell_weights", dtype=wide)(scores)  # [B, h, w, 1]
    # softplus(-1) = 0.31: before training every location proposes a box of 0.6 of the image around itself.
    sides = keras.layers.Conv2D(4, 1, bias_initializer=keras.initializers.Constant(-1.0), name="sides")(x)
    pooled = keras.layers.Concatenate(name="pooled")(
        [WeightedPooling(name="object")([x, weights]), keras.layers.GlobalAveragePooling2D(name="scene")(x)]
    )
    outputs = {
        "class": keras.layers.Dense(classes, name=CLASS_LAYER, dtype=wide)(pooled),
        "box": BoxVote(name="box", dtype=wide)([weights, sides]),
    }
    if locations:
        # This name sorts between "box" and "class": another order of the losses changes the last bit of their sum.
        outputs["cells"] = keras.layers.Concatenate(name="cells", dtype=wide)([scores, sides])
    return outputs


def _normalized(x, name):
    x = backbones.FastBatchNormalization(momentum=0.9, name=f"{name}_bn")(x)
    return keras.layers.Activation("relu", name=f"{name}_relu")(x)


def feature_head(localizer: keras.Model, shapes: Iterable[tuple[int, ...]]) -> keras.Model:
    """Return neck and head of a localizer as a model of their own, with their weights as they are now.

    Localizers of the same architecture share one model, which is traced once; each call assigns it the weights of its
    localizer.

    Args:
        shapes: those of the maps, (h, w, C) each.

    Returns:
        `keras.Model` from the maps, `[B, h, w, C]` each, to what the localizer returns.
    """
    form = (tuple(shapes), len(localizer.class_names), localizer.num_filters, localizer.levels)
    head = _built_once(localizer.get_layer("sides").compute_dtype, tf.distribute.get_strategy(), *form)
    copy_weights(localizer, head, head.layers)
    return head


@functools.lru_cache(maxsize=4)
def _built_once(dtype, strategy, shapes, classes, num_filters, levels):
    """One head for all localizers of an architecture; type and strategy are those of the process."""
    maps = [keras.Input(shape) for shape in shapes]
    return keras.Model(maps, localizer_outputs(maps, classes, num_filters, levels), name="feature_head")


def copy_weights(source: keras.Model, target: keras.Model, layers: Iterable[keras.layers.Layer]) -> None:
    """Copy the weights of some layers, which both models have, by the layers' names."""
    for layer in layers:
        if layer.weights:
            target.get_layer(layer.name).set_weights(source.get_layer(layer.name).get_weights())
