"""The single-object localizer: one class and one box an image."""

from __future__ import annotations

from collections.abc import Sequence

from kerassl import backbones
from kerassl._compat import keras, tf
from kerassl._errors import UserError
from kerassl._numbers import COUNT
from kerassl.datasets.class_names import check_class_names
from kerassl.detectors.localizer.head import Beside, localizer_outputs
from kerassl.detectors.localizer.levels import NECK_LEVELS, check_neck_levels
from kerassl.detectors.localizer.losses import localizer_objectives
from kerassl.detectors.supervised import Supervised
from kerassl.resizing import check_image_size


@keras.saving.register_keras_serializable(package="kerassl")
class Localizer(Supervised):
    """Predict the class and the box of the one object of an image; one flat functional model.

    A small neck joins P4 and P5 (or other levels) on the grid of the finest; there each location proposes a box and a
    weight, and the weights also pool the features for the class.

    Args:
        backbone: flat functional `keras.Model` of images in [0, 255], as `backbones.build` or `backbones.load` returns
            it. It becomes a part of the localizer and is trained in place; for the neck and the head alone set
            `backbone.trainable = False` before.
        class_names: sequence of str, as `datasets.VOC_CLASSES`.
        image_size: int, the side of the letterboxed images in pixels, a multiple of 32.
        num_filters: int, the channels of the neck.
        levels: sequence of str, what the neck takes of the backbone's pyramid: one level or neighbors, from the finest
            on, as `("P3", "P4")`. With P3 neck and head have four times the locations. Layers beyond the deepest level
            are neither run nor trained.
        **kwargs: those of `keras.Model`.

    Call arguments:
        images: `[B, S, S, 3]` float32 in [0, 255].

    Returns:
        Dict `{"class": logits [B, C], "box": [B, 4] xyxy in units of the letterboxed image's side}`.

    Raises:
        UserError: if the image size is not a multiple of 32, the backbone lacks P3, P4 or P5, an argument is out of
            range, or the class names are empty, not strings or repeated.

    Example:
        >>> backbone = kerassl.backbones.load("backbone.keras")
        >>> localizer = kerassl.detectors.Localizer(backbone, kerassl.datasets.VOC_CLASSES, image_size=192)
        >>> localizer.compile("adamw", learning_rate=1e-3)
        >>> records = kerassl.datasets.DetectionDataset.from_voc("VOCdevkit", 2007, "train")
        >>> localizer.fit(kerassl.datasets.single_object_batches(records, 192, 32), epochs=20)
    """

    def __init__(
        self,
        backbone: keras.Model,
        class_names: Sequence[str],
        image_size: int,
        num_filters: int = 128,
        levels: Sequence[str] = NECK_LEVELS,
        **kwargs,
    ) -> None:
        image_size, class_names = check_image_size(image_size), check_class_names(class_names)
        if not COUNT.fits(num_filters):
            raise UserError(f"num_filters is {num_filters}; give a number of channels, as 64 or 128")
        levels, layers = check_neck_levels(levels), backbones.pyramid(backbone)
        maps = [backbone.get_layer(layers[level]).output for level in levels]
        needed = keras.Model(backbone.input, maps)
        beyond = [layer for layer in backbone.layers if layer not in needed.layers]
        if beyond:
            maps[-1] = Beside(name="beside")([maps[-1], backbone.output])
        outputs = localizer_outputs(maps, len(class_names), num_filters, levels)
        super().__init__(inputs=backbone.input, outputs=outputs, **{"name": "localizer", **kwargs})
        self._describe(backbone, class_names, image_size)
        self.num_filters = num_filters
        self.levels = levels
        if beyond:
            self._leave_out(beyond, needed, keras.Model(maps, outputs))

    def _leave_out(self, layers, needed, head):
        """Run the graph without some layers: in training, their batch statistics would change."""
        # Past Keras, which would save what it finds among the attributes.
        object.__setattr__(
            self,
            "_network",
            lambda images, training: head(tf.nest.flatten(needed(images, training=training)), training=training),
        )
        object.__setattr__(self, "_beyond", tuple(layers))

    _beyond: tuple[keras.layers.Layer, ...] = ()

    @property
    def unused(self) -> tuple[str, ...]:
        """The names of the backbone's layers beyond the deepest level, which neither run nor are trained."""
        return tuple(layer.name for layer in self._beyond)

    @property
    def trainable_weights(self) -> list:
        return self._used(super().trainable_weights)

    @property
    def trainable_variables(self) -> list:
        return self._used(super().trainable_variables)

    def _used(self, weights):
        unused = {id(weight) for layer in self._beyond for weight in layer.weights}
        return [weight for weight in weights if id(weight) not in unused]

    def _objectives(self):
        return localizer_objectives()

    def symbolic_labels(self) -> dict:
        return symbolic_labels()

    def get_config(self) -> dict:
        return {**super().get_config(), "num_filters": self.num_filters, "levels": list(self.levels)}


def symbolic_labels() -> dict:
    """Return Keras tensors in the form of a localizer's labels."""
    return {"class": keras.Input((), dtype="int32"), "box": keras.Input((4,))}
