"""Base class of the object detectors: data, checks, decoding."""

from __future__ import annotations

import contextlib
from typing import Any

from kerassl._compat import keras, tf
from kerassl._errors import UserError
from kerassl.detectors.decoding import select
from kerassl.detectors.label_weights import Labels
from kerassl.detectors.supervised import Supervised
from kerassl.losses.replicas import OverReplicas

_BEYOND = "a label is beyond the classes"


class Detector(Supervised):
    """Base class of models that return boxes, classes and scores of any number of objects.

    `fit` and `evaluate` take batches of (images, labels) or of dicts with `"images"` and `"bounding_boxes"`, as
    `datasets.detection_batches` returns them; labels are a dict of boxes `[B, M, 4]`, xyxy in pixels, and classes
    `[B, M]`, negative in padding, and may have weights, see `label_weights.Labels`. `predict` decodes boxes of
    letterboxed images; `detectors.predict` takes files.
    """

    def boxes_and_scores(self, outputs: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        """Decode the network's outputs.

        Args:
            outputs: dict, what the model returns for a batch of `[B, S, S, 3]` images.

        Returns:
            Boxes `[B, A, 4]`, xyxy in pixels of the letterboxed image, not clipped, and scores `[B, A, C]` in [0, 1];
            both float32, or float64 under that policy.
        """
        raise NotImplementedError

    def check_images(self, shape: tf.TensorShape) -> None:
        """Check that a batch's images have the detector's size, as far as the shape is known.

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

    def _fit(self, x=None, *args, **kwargs):
        if kwargs.get("validation_data") is not None:
            kwargs["validation_data"] = self._pairs(kwargs["validation_data"])
        with self._labels_reported():
            return super()._fit(self._pairs(x), *args, **kwargs)

    def evaluate(self, x: Any = None, *args: Any, **kwargs) -> Any:
        with self._labels_reported():
            return super().evaluate(self._pairs(x), *args, **kwargs)

    def train_step(self, data: Any) -> dict:
        return super().train_step(_pair(data))

    def test_step(self, data: Any) -> dict:
        return super().test_step(_pair(data))

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict:
        # Those of the losses alone: labels and outputs differ in structure, which Keras 2.15 would compare.
        return super().compute_metrics(x, {}, {}, sample_weight={})

    def predict_step(self, data: Any) -> dict:
        boxes, scores = self.boxes_and_scores(super().predict_step(data))
        areas = tf.fill([tf.shape(boxes)[0], 2], float(self.image_size))
        boxes, scores, classes, counts = select(boxes, scores, areas)
        return {"boxes": boxes, "confidence": scores, "classes": classes, "num_detections": counts}

    def _pairs(self, data):
        """Batches as (images, labels): on several replicas Keras 3 calls the model with what comes first."""
        if not isinstance(data, tf.data.Dataset) or not isinstance(data.element_spec, dict):
            return data
        self.check_images(data.element_spec["images"].shape)
        return data.map(_pair)

    def _labels(self, images, labels):
        """The `Labels` of a batch, once the images' size and the classes have been checked."""
        self.check_images(images.shape)
        read = {name: tf.cast(value, self.variable_dtype) for name, value in labels.items()}
        classes = read["classes"]
        known = tf.debugging.assert_less(classes, tf.cast(len(self.class_names), classes.dtype), _BEYOND)
        with tf.control_dependencies([known] if known is not None else []):
            return Labels(**{**read, "classes": tf.identity(classes)})

    @contextlib.contextmanager
    def _labels_reported(self):
        try:
            yield
        except tf.errors.InvalidArgumentError as error:
            if _BEYOND not in str(error):
                raise
            count = len(self.class_names)
            raise UserError(
                f"the detector has {count} classes, but a label is {count} or more; give the reader and the detector "
                "the same list of classes"
            ) from error


class SummedLoss(OverReplicas, keras.losses.Loss):
    """Sum of a function of targets and outputs `[B, A, …]` over all locations, weighted by their sample weights."""

    def __init__(self, function, name):
        super().__init__(reduction="sum", name=name)
        self.call = function


def over_replicas(number: tf.Tensor) -> tf.Tensor:
    """Sum a number over the replicas of the step that runs."""
    context = tf.distribute.get_replica_context()
    return number if context is None else context.all_reduce(tf.distribute.ReduceOp.SUM, number)


def _pair(batch):
    return (batch["images"], batch["bounding_boxes"]) if isinstance(batch, dict) else batch
