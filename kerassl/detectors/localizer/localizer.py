"""The single-object localiser: one class and one box an image."""

import keras

from kerassl import _compat, backbones, optimizers
from kerassl.datasets.class_names import check_class_names
from kerassl.detectors.localizer.head import Beside, localizer_outputs
from kerassl.detectors.localizer.levels import NECK_LEVELS, check_neck_levels
from kerassl.detectors.localizer.losses import BoxLoss, ClassLoss, loc_acc_50, mean_iou
from kerassl.detectors.supervised import Supervised
from kerassl.optimizers.part_rates import check_learning_rates
from kerassl.resizing import check_image_size


@keras.saving.register_keras_serializable(package="kerassl")
class Localizer(Supervised, keras.Model):
    """Names the one object of an image and draws its box; one flat functional model, compiled.

    A small neck joins P4 and P5 (or other levels) on the grid of the finest; there each cell proposes a box and a
    weight, and the weights also pool the features that tell the class.

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
        levels: sequence of str, what the neck takes of the backbone's pyramid: one level or neighbours, from the finest
            on, as `("P3", "P4")`. With P3 neck and head have four times the cells. Layers beyond the deepest are
            frozen, in the backbone itself.
        **kwargs: those of `keras.Model`.

    Call arguments:
        images: `[B, S, S, 3]` float32 in [0, 255].

    Returns:
        Dict `{"class": logits [B, C], "box": [B, 4] xyxy in units of the letterboxed image's side}`.

    Raises:
        UserError: if the image size is no multiple of 32, the backbone lacks P3, P4 or P5, the levels are none that
            are accepted, or the class names are none, not strings or doubled.

    Example:
        >>> backbone = kerassl.backbones.load("backbone.keras")
        >>> localizer = kerassl.detectors.Localizer(backbone, kerassl.datasets.VOC_CLASSES, image_size=192)
        >>> records = kerassl.datasets.DetectionDataset.from_voc("VOCdevkit", 2007, "train")
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
        levels=NECK_LEVELS,
        **kwargs,
    ):
        classes = check_class_names(classes)
        learning_rates = check_learning_rates(learning_rates)
        check_image_size(image_size)
        levels, layers = check_neck_levels(levels), backbones.pyramid(backbone)
        if freeze:
            backbone.trainable = False
        kwargs.setdefault("name", "localizer")
        maps = [backbone.get_layer(layers[level]).output for level in levels]
        deeper = _beyond(backbone, maps[-1])
        if deeper:
            for layer in deeper:
                layer.trainable = False
            maps[-1] = Beside(name="beside")([maps[-1], backbone.output])
        super().__init__(inputs=backbone.input, outputs=localizer_outputs(maps, len(classes), width, levels), **kwargs)
        self.classes = classes
        self.image_size = image_size
        self.width = width
        self.levels = levels
        self.learning_rates = learning_rates
        compile_localizer(self, learning_rate, optimizer, weight_decay=weight_decay, clip_norm=clip_norm)
        # After all else: Keras would save a model that it finds among the attributes, and its layers a second time.
        object.__setattr__(self, "_backbone", backbone)

    @property
    def unused(self):
        """The names of the backbone's layers beyond the deepest level, without which it answers."""
        name = backbones.pyramid(self._backbone)[self.levels[-1]]
        return [layer.name for layer in _beyond(self._backbone, self._backbone.get_layer(name).output)]

    @property
    def backbone(self):
        """The backbone, whose layers are the localiser's own first layers."""
        return self._backbone

    def symbolic_labels(self):
        return symbolic_labels()

    def get_config(self):
        return {
            "name": self.name,
            "trainable": self.trainable,
            "backbone": keras.saving.serialize_keras_object(self._backbone),
            "classes": list(self.classes),
            "image_size": self.image_size,
            "width": self.width,
            "levels": list(self.levels),
            "learning_rates": dict(self.learning_rates),
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        config["backbone"] = keras.saving.deserialize_keras_object(config["backbone"])
        return cls(**config)


def _beyond(backbone, output):
    """The layers of a backbone that a feature map does not need."""
    needed = {layer.name for layer in keras.Model(backbone.input, output).layers}
    return [layer for layer in backbone.layers if layer.name not in needed]


def symbolic_labels():
    """Keras tensors in the form of a localiser's labels."""
    return {"class": keras.Input((), dtype="int32"), "box": keras.Input((4,))}


def compile_localizer(
    model, learning_rate, optimizer, *, weight_decay=None, clip_norm=10.0, class_weight=1.0, **losses
):
    """Gives a model with a localiser's outputs its losses, metrics and optimiser, as `Localizer` takes that.

    Args:
        model: `keras.Model`.
        learning_rate, optimizer, weight_decay, clip_norm: as `Localizer` takes them.
        class_weight: float. Multiplies the loss of the class.
        **losses: of further outputs, by their names.
    """
    losses = {"class": ClassLoss(from_logits=True), "box": BoxLoss(), **losses}
    model.compile(
        optimizer=optimizers.for_labels(optimizer, learning_rate, model.trainable_variables, weight_decay, clip_norm),
        loss=losses,
        loss_weights={name: class_weight if name == "class" else 1.0 for name in losses},
        metrics={
            "class": [keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
            "box": [mean_iou, loc_acc_50],
        },
        jit_compile=False,  # a whole network under XLA is ten times slower on a CPU
    )
    _compat.build_addons_optimizer(model)
