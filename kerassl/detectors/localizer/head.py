"""Neck and head of the localiser: from feature maps to one class and one box."""

import keras
import tensorflow as tf

from kerassl import backbones
from kerassl.detectors.localizer.levels import NECK_LEVELS

CLASS_LAYER = "class"
"""The layer that alone knows how many classes there are."""


def cell_boxes(sides):
    """The box that each cell proposes.

    Args:
        sides: `[B, h, w, 4]`, the distances from the cell's centre to the left, upper, right and lower side before the
            softplus.

    Returns:
        `[B, h, w, 4]`, xyxy in units of the image's side.
    """
    height, width = tf.shape(sides)[1], tf.shape(sides)[2]
    x = (tf.range(width, dtype=sides.dtype) + 0.5) / tf.cast(width, sides.dtype)
    y = (tf.range(height, dtype=sides.dtype) + 0.5) / tf.cast(height, sides.dtype)
    centre = tf.stack(tf.meshgrid(x, y), -1)  # [h, w, 2]
    distance = tf.nn.softplus(sides)  # never negative: the right side cannot pass the left one
    return tf.concat([centre - distance[..., :2], centre + distance[..., 2:]], -1)


@keras.saving.register_keras_serializable(package="kerassl")
class BoxVote(keras.layers.Layer):
    """Every cell of a feature map proposes a box around itself; their mean by weight is the answer.

    A box is read off where the object is, by weights that all cells share, so that nothing has to be learned again
    for each place, as it would be by a dense layer over the flattened map; global pooling would lose the place.

    Call arguments:
        inputs: weights `[B, h, w, 1]` that sum to 1 over the cells, and sides `[B, h, w, 4]`, as `cell_boxes` takes
            them.

    Returns:
        `[B, 4]`, xyxy in units of the image's side.
    """

    def call(self, inputs):
        weights, sides = inputs
        boxes = cell_boxes(sides)
        return tf.reduce_sum(weights * boxes, [1, 2])

    def compute_output_shape(self, input_shape):
        return (input_shape[0][0], 4)


@keras.saving.register_keras_serializable(package="kerassl")
class CellSoftmax(keras.layers.Layer):
    """Softmax over the cells of a feature map `[B, h, w, 1]`."""

    def call(self, inputs):
        shape = tf.shape(inputs)
        return tf.reshape(tf.nn.softmax(tf.reshape(inputs, [shape[0], -1])), shape)

    def compute_output_shape(self, input_shape):
        return input_shape


@keras.saving.register_keras_serializable(package="kerassl")
class WeightedPooling(keras.layers.Layer):
    """Mean of a feature map `[B, h, w, C]` by the weights `[B, h, w, 1]` of its cells: `[B, C]`."""

    def call(self, inputs):
        features, weights = inputs
        return tf.reduce_sum(features * weights, [1, 2])

    def compute_output_shape(self, input_shape):
        return (input_shape[0][0], input_shape[0][-1])


@keras.saving.register_keras_serializable(package="kerassl")
class Standardise(keras.layers.Layer):
    """A feature map less its mean over its deviation, by channel.

    Both are weights that no step trains; until they are set the map passes as it is. Features of networks that start
    at random are orders of magnitude smaller or larger than those of trained ones, which a learning rate would notice.
    """

    def build(self, input_shape):
        shape = (input_shape[-1],)
        self.mean = self.add_weight(name="mean", shape=shape, initializer="zeros", trainable=False)
        self.deviation = self.add_weight(name="deviation", shape=shape, initializer="ones", trainable=False)
        self.built = True

    def call(self, inputs):
        return (inputs - tf.cast(self.mean, inputs.dtype)) / tf.cast(self.deviation, inputs.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return super().get_config()  # Keras 3 cannot save a layer with a precision policy that lacks this method


@keras.saving.register_keras_serializable(package="kerassl")
class Beside(keras.layers.Layer):
    """Passes its first input and leaves the second alone, whose layers so belong to the model and are saved with it.

    In a graph nothing of the second is computed.
    """

    def call(self, inputs):
        return inputs[0]

    def compute_output_shape(self, input_shape):
        return input_shape[0]


def localizer_outputs(maps, classes, num_filters, levels=NECK_LEVELS, cells=False):
    """Neck and head on feature maps.

    Args:
        maps: Keras tensors, one for each of the levels.
        classes: int, how many.
        num_filters: int, the channels of the neck.
        levels: sequence of str, as `levels.check_neck_levels` takes them; the cells are those of the first.
        cells: bool. Give what each cell says, too.

    Returns:
        Dict of Keras tensors, logits `"class"` `[B, C]` and `"box"` `[B, 4]` xyxy in units of the image's side; and
        with `cells` `"cells"` `[B, h, w, 5]`, each cell's score before the softmax and its sides.
    """
    wide = keras.mixed_precision.global_policy().variable_dtype
    maps = [Standardise(name=f"standard_{level.lower()}", dtype=wide)(part) for level, part in zip(levels, maps)]
    parts = []
    for level, part in list(zip(levels, maps))[::-1]:  # the order in which new weights are drawn
        part = keras.layers.Conv2D(num_filters, 1, use_bias=False, name=f"neck_{level.lower()}")(part)
        factor = 2 ** levels.index(level)
        parts.append(keras.layers.UpSampling2D(factor, name=f"neck_up_{level.lower()}")(part) if factor > 1 else part)
    x = keras.layers.Add(name="neck_add")(parts[::-1]) if len(parts) > 1 else parts[0]  # [B, h, w, num_filters]
    x = _normalised(x, "neck")
    for number in (1, 2):
        x = keras.layers.Conv2D(num_filters, 3, padding="same", use_bias=False, name=f"head_conv{number}")(x)
        x = _normalised(x, f"head_{number}")
    scores = keras.layers.Conv2D(1, 1, name="cell_scores")(x)
    weights = CellSoftmax(name="cell_weights", dtype=wide)(scores)  # [B, h, w, 1]
    # softplus(-1) = 0.31: at the start every cell proposes a box of 0.6 of the image around itself.
    sides = keras.layers.Conv2D(4, 1, bias_initializer=keras.initializers.Constant(-1.0), name="sides")(x)
    pooled = keras.layers.Concatenate(name="pooled")(
        [WeightedPooling(name="object")([x, weights]), keras.layers.GlobalAveragePooling2D(name="scene")(x)]
    )
    outputs = {
        "class": keras.layers.Dense(classes, name=CLASS_LAYER, dtype=wide)(pooled),
        "box": BoxVote(name="box", dtype=wide)([weights, sides]),
    }
    if cells:
        outputs["cells"] = keras.layers.Concatenate(name="cells", dtype=wide)([scores, sides])
    return outputs


def _normalised(x, name):
    x = backbones.FastBatchNormalization(momentum=0.9, name=f"{name}_bn")(x)
    return keras.layers.Activation("relu", name=f"{name}_relu")(x)
