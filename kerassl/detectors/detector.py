"""What the detectors share: their data, their checks, decoding and configuration."""

import contextlib

import keras
import tensorflow as tf

from kerassl._errors import UserError
from kerassl.detectors.decoding import select
from kerassl.detectors.supervised import Supervised
from kerassl.optimizers.part_rates import check_learning_rates

_BEYOND = "a label is beyond the classes"


class Detector(Supervised):
    """Mixed into a KerasCV detector, before it; what takes a detector asks for this class and no other.

    A detector has `backbone`, `classes`, `image_size` and `boxes_and_scores(outputs)`. It sets them by `_describe`,
    and compiles itself for an optimiser by `_compile_for(optimizer)`.
    """

    def _describe(self, backbone, classes, image_size, learning_rates):
        self.backbone = backbone
        self.classes = list(classes)
        self.image_size = image_size
        self.learning_rates = check_learning_rates(learning_rates)
        self.num_classes = len(classes)
        self.bounding_box_format = "xyxy"

    def boxes_and_scores(self, outputs):
        """The boxes and scores that the network's outputs stand for.

        Args:
            outputs: dict, what the model returns for a batch of `[B, S, S, 3]` images.

        Returns:
            Boxes `[B, A, 4]`, xyxy in pixels of the letterboxed image, not clipped, and scores `[B, A, C]` in [0, 1];
            both float32, or float64 under that policy.
        """
        raise NotImplementedError

    def fit(self, x=None, *args, **kwargs):
        if kwargs.get("validation_data") is not None:
            kwargs["validation_data"] = self._pairs(kwargs["validation_data"])
        with self._labels_told():
            return super().fit(self._pairs(x), *args, **kwargs)

    def evaluate(self, x=None, *args, **kwargs):
        with self._labels_told():
            return super().evaluate(self._pairs(x), *args, **kwargs)

    def _pairs(self, data):
        """KerasCV's dicts as (images, labels): on several replicas Keras 3 calls the model with what comes first."""
        if not isinstance(data, tf.data.Dataset) or not isinstance(data.element_spec, dict):
            return data
        self.check_images(data.element_spec["images"].shape)
        return data.map(lambda batch: (batch["images"], batch["bounding_boxes"]))

    def check_images(self, shape):
        """Refuses a batch whose images are of another size than the detector's, as far as the shape tells.

        Args:
            shape: that of a batch, `[B, H, W, 3]`.

        Raises:
            UserError: if height or width is known and is not `image_size`.
        """
        known = getattr(shape, "rank", 4) is not None
        if known and any(side not in (None, self.image_size) for side in tuple(shape)[1:3]):
            raise UserError(
                f"the images are {shape[1]} x {shape[2]} pixels, but the detector was built for {self.image_size} x "
                f"{self.image_size}; give the reader image_size={self.image_size}"
            )

    def _labels(self, images, labels):
        """Boxes and classes of a batch, once the images' size and the classes have been checked."""
        self.check_images(images.shape)
        classes = tf.cast(labels["classes"], self.variable_dtype)
        known = tf.debugging.assert_less(classes, tf.cast(self.num_classes, classes.dtype), _BEYOND)
        with tf.control_dependencies([known] if known is not None else []):
            return tf.cast(labels["boxes"], self.variable_dtype), tf.identity(classes)

    @contextlib.contextmanager
    def _labels_told(self):
        try:
            yield
        except tf.errors.InvalidArgumentError as error:
            if _BEYOND not in str(error):
                raise
            raise UserError(
                f"the detector has {self.num_classes} classes, but a label is {self.num_classes} or more; give the "
                "reader and the detector the same list of classes"
            ) from error

    def decode_predictions(self, predictions, images):
        if hasattr(images, "shape"):  # a data set of images and labels comes as a tuple
            self.check_images(images.shape)
        boxes, scores = self.boxes_and_scores(predictions)
        areas = tf.fill([tf.shape(boxes)[0], 2], float(self.image_size))
        boxes, scores, classes, counts = select(boxes, scores, areas)
        return {"boxes": boxes, "confidence": scores, "classes": classes, "num_detections": counts}

    def get_config(self):
        return {
            "name": self.name,
            "trainable": self.trainable,
            "backbone": keras.saving.serialize_keras_object(self.backbone),
            "classes": list(self.classes),
            "image_size": self.image_size,
            "learning_rates": dict(self.learning_rates),
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        config["backbone"] = keras.saving.deserialize_keras_object(config["backbone"])
        return cls(**config)

    def compile_settings(self):
        # Losses are the detector's own; only the optimizer is free to choose.
        optimizer = getattr(self, "optimizer", None)
        return optimizer and {"optimizer": keras.saving.serialize_keras_object(optimizer)}

    def compile_again(self, settings):
        self._compile_for(settings["optimizer"])


def over_replicas(number):
    """The sum of a number over the replicas of the step that runs."""
    context = tf.distribute.get_replica_context()
    return number if context is None else context.all_reduce(tf.distribute.ReduceOp.SUM, number)
