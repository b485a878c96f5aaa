"""The single-object localiser: one class and one box an image."""

import keras
import tensorflow as tf

from kerassl import _compat, backbones, optimizers
from kerassl.datasets.class_names import check_class_names
from kerassl.models.box_loss import BoxLoss, loc_acc_50, mean_iou
from kerassl.models.part_rates import check_learning_rates, scaled_step


@keras.saving.register_keras_serializable(package="kerassl")
class BoxVote(keras.layers.Layer):
    """Every cell of a feature map proposes a box around itself; their mean by weight is the answer.

    A box is read off where the object is, by weights that all cells share, so that nothing has to be learned again
    for each place, as it would be by a dense layer over the flattened map; global pooling would lose the place.

    Call arguments:
        inputs: weights `[B, h, w, 1]` that sum to 1 over the cells, and sides `[B, h, w, 4]`, the distances from the
            cell's centre to the left, upper, right and lower side before the softplus.

    Returns:
        `[B, 4]`, xyxy in units of the image's side.
    """

    def call(self, inputs):
        weights, sides = inputs
        height, width = tf.shape(weights)[1], tf.shape(weights)[2]
        x = (tf.range(width, dtype=sides.dtype) + 0.5) / tf.cast(width, sides.dtype)
        y = (tf.range(height, dtype=sides.dtype) + 0.5) / tf.cast(height, sides.dtype)
        centre = tf.stack(tf.meshgrid(x, y), -1)  # [h, w, 2]
        distance = tf.nn.softplus(sides)  # never negative: the right side cannot pass the left one
        boxes = tf.concat([centre - distance[..., :2], centre + distance[..., 2:]], -1)  # [B, h, w, 4]
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
class Localizer(keras.Model):
    """Names the one object of an image and draws its box; one flat functional model, compiled.

    A small neck joins P4 and P5 on the grid of P4; there each cell proposes a box and a weight, and the weights also
    pool the features that tell the class.

    Args:
        backbone: flat functional `keras.Model` of images in [0, 255], as `backbones.build` or `backbones.load` gives
            it. It becomes a part of the localiser and is trained in place.
        classes: sequence of str, the names of the classes.
        image_size: int, the side of the letterboxed images in pixels, a multiple of 32.
        width: int, the channels of the neck.
        learning_rate: float or schedule.
        optimizer: a name that `optimizers.get` knows, or an optimiser, which brings its own decay and clipping.
            `compile` changes optimiser, losses and metrics.
        freeze: bool. Train neck and head alone; the backbone's batch normalisation then stays as it is, too.
        learning_rates: dict from a part to a factor of the learning rate, as `{"backbone": 0.1}`, or None. The parts
            are `"backbone"`, or its stages `"stem"`, `"P3"`, `"P4"` and `"P5"`, `"neck"` and `"head"`; see
            `layer_decay`. A part's weight decay falls with its rate.
        weight_decay: float >= 0, or None for 1e-4.
        clip_norm: float > 0, or None. The global norm that gradients are clipped to.
        **kwargs: those of `keras.Model`.

    Call arguments:
        images: `[B, S, S, 3]` float32 in [0, 255].

    Returns:
        Dict `{"class": logits [B, C], "box": [B, 4] xyxy in units of the letterboxed image's side}`.

    Raises:
        UserError: if the image size is no multiple of 32, the backbone lacks P4 or P5, or the class names are none,
            not strings or doubled.

    Example:
        >>> backbone = kerassl.backbones.load("backbone.keras")
        >>> localizer = kerassl.models.Localizer(backbone, kerassl.datasets.VOC_CLASSES, image_size=192)
        >>> records = kerassl.datasets.voc_records("VOCdevkit", 2007, "train")
        >>> localizer.fit(kerassl.datasets.single_object_batches(records, 192, 32), epochs=20)
    """

    def __init__(
        self,
        backbone,
        classes,
        image_size,
        width=128,
        learning_rate=1e-3,
        optimizer="adamw",
        freeze=False,
        learning_rates=None,
        weight_decay=None,
        clip_norm=10.0,
        **kwargs,
    ):
        classes = check_class_names(classes)
        learning_rates = check_learning_rates(learning_rates)
        backbones.check_image_size(image_size)
        levels = backbones.pyramid(backbone)
        if freeze:
            backbone.trainable = False
        kwargs.setdefault("name", "localizer")
        super().__init__(inputs=backbone.input, outputs=_outputs(backbone, levels, len(classes), width), **kwargs)
        self.classes = classes
        self.image_size = image_size
        self.width = width
        self.learning_rates = learning_rates
        self.compile(
            optimizer=optimizers.for_labels(
                optimizer, learning_rate, self.trainable_variables, weight_decay, clip_norm
            ),
            loss={"class": keras.losses.SparseCategoricalCrossentropy(from_logits=True), "box": BoxLoss()},
            metrics={
                "class": [keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
                "box": [mean_iou, loc_acc_50],
            },
            jit_compile=False,  # a whole network under XLA is ten times slower on a CPU
        )
        _compat.build_addons_optimizer(self)
        # After all else: Keras would save a model that it finds among the attributes, and its layers a second time.
        object.__setattr__(self, "_backbone", backbone)

    @property
    def backbone(self):
        """The backbone, whose layers are the localiser's own first layers."""
        return self._backbone

    def train_step(self, data):
        return scaled_step(self, lambda: super(Localizer, self).train_step(data))

    def get_config(self):
        return {
            "name": self.name,
            "trainable": self.trainable,
            "backbone": keras.saving.serialize_keras_object(self._backbone),
            "classes": list(self.classes),
            "image_size": self.image_size,
            "width": self.width,
            "learning_rates": dict(self.learning_rates),
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        config["backbone"] = keras.saving.deserialize_keras_object(config["backbone"])
        return cls(**config)


def _outputs(backbone, levels, classes, width):
    p4, p5 = (backbone.get_layer(levels[level]).output for level in ("P4", "P5"))
    p5 = keras.layers.Conv2D(width, 1, use_bias=False, name="neck_p5")(p5)
    p4 = keras.layers.Conv2D(width, 1, use_bias=False, name="neck_p4")(p4)
    x = keras.layers.Add(name="neck_add")([p4, keras.layers.UpSampling2D(2, name="neck_up")(p5)])  # [B, h, w, width]
    x = _normalised(x, "neck")
    for number in (1, 2):
        x = keras.layers.Conv2D(width, 3, padding="same", use_bias=False, name=f"head_conv{number}")(x)
        x = _normalised(x, f"head_{number}")
    weights = CellSoftmax(name="cell_weights", dtype="float32")(
        keras.layers.Conv2D(1, 1, name="cell_scores")(x)
    )  # [B, h, w, 1]
    # softplus(-1) = 0.31: at the start every cell proposes a box of 0.6 of the image around itself.
    sides = keras.layers.Conv2D(4, 1, bias_initializer=keras.initializers.Constant(-1.0), name="sides")(x)
    pooled = keras.layers.Concatenate(name="pooled")(
        [WeightedPooling(name="object")([x, weights]), keras.layers.GlobalAveragePooling2D(name="scene")(x)]
    )
    return {
        "class": keras.layers.Dense(classes, name="class", dtype="float32")(pooled),
        "box": BoxVote(name="box", dtype="float32")([weights, sides]),
    }


def _normalised(x, name):
    x = backbones.FastBatchNormalization(momentum=0.9, name=f"{name}_bn")(x)
    return keras.layers.Activation("relu", name=f"{name}_relu")(x)
