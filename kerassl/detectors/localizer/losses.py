"""Losses and training-time metrics of the localizer."""

from __future__ import annotations

from kerassl._compat import keras, tf
from kerassl.detectors.localizer.head import location_boxes
from kerassl.losses.replicas import OverReplicas


def _overlap(first, second):
    corner = tf.maximum(first[..., :2], second[..., :2]), tf.minimum(first[..., 2:], second[..., 2:])
    common = tf.reduce_prod(tf.maximum(corner[1] - corner[0], 0), -1)
    areas = [tf.reduce_prod(tf.maximum(box[..., 2:] - box[..., :2], 0), -1) for box in (first, second)]
    return common, areas[0] + areas[1] - common


def mean_iou(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    """Compute the intersection over union of each pair of boxes `[B, 4]` xyxy: `[B]` in [0, 1]."""
    common, union = _overlap(tf.cast(y_true, y_pred.dtype), y_pred)
    return tf.math.divide_no_nan(common, union)


def loc_acc_50(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    """Return 1 where the IoU of a pair of boxes `[B, 4]` xyxy is 0.5 or more, else 0: `[B]`."""
    return tf.cast(mean_iou(y_true, y_pred) >= 0.5, y_pred.dtype)


class ClassLoss(OverReplicas, keras.losses.SparseCategoricalCrossentropy):
    """`keras.losses.SparseCategoricalCrossentropy` of the global batch of several replicas."""


class BoxLoss(OverReplicas, keras.losses.Loss):
    """Generalized IoU loss plus `l1_weight` times the mean absolute error of boxes `[B, 4]`, xyxy in [0, 1].

    The first follows the metric, the second still has a useful gradient where two boxes are far apart.

    References:
        Rezatofighi et al., "Generalized Intersection over Union", 2019.
    """

    def __init__(self, l1_weight: float = 5.0, name: str = "box_loss", **kwargs) -> None:
        super().__init__(name=name, **kwargs)
        self.l1_weight = l1_weight

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        y_true = tf.cast(y_true, y_pred.dtype)
        common, union = _overlap(y_true, y_pred)
        hull_sides = tf.maximum(y_true[..., 2:], y_pred[..., 2:]) - tf.minimum(y_true[..., :2], y_pred[..., :2])
        hull = tf.reduce_prod(tf.maximum(hull_sides, 0), -1)
        giou = tf.math.divide_no_nan(common, union) - tf.math.divide_no_nan(hull - union, hull)
        return 1 - giou + self.l1_weight * tf.reduce_mean(tf.abs(y_true - y_pred), -1)


class LocationLoss(OverReplicas, keras.losses.Loss):
    """Loss of each location's score and box, besides that of their weighted mean.

    The weighted mean has one example an image; the locations have dozens, which matters where labels are few.

    Args:
        **kwargs: those of `keras.losses.Loss`.

    Call arguments:
        y_true: `[B, 4]` float, xyxy in [0, 1].
        y_pred: `[B, h, w, 5]` float, each location's score (a logit) and sides, as `localizer_outputs` returns them.

    Returns:
        The mean over the batch, float32: the cross-entropy of the score and the share of the location's region that
        the box covers, averaged over all locations, plus `BoxLoss`, averaged over the locations by that share.
    """

    def __init__(self, name: str = "location_loss", **kwargs) -> None:
        super().__init__(name=name, **kwargs)
        self._box_loss = BoxLoss()

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        y_true = tf.cast(y_true, y_pred.dtype)[:, None, None]  # [B, 1, 1, 4]
        scores, sides = y_pred[..., 0], y_pred[..., 1:]
        share = _share(y_true, tf.shape(sides)[1], tf.shape(sides)[2])  # [B, h, w]
        score_loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(share, scores), [1, 2])
        box_loss = self._box_loss.call(y_true, location_boxes(sides))
        return score_loss + tf.math.divide_no_nan(tf.reduce_sum(box_loss * share, [1, 2]), tf.reduce_sum(share, [1, 2]))


def _share(boxes, height, width):
    """The share of each region of a grid that `[B, 1, 1, 4]` boxes cover: `[B, h, w]` in [0, 1]."""

    def covered(low, high, count):  # along one axis: [B, count]
        count = tf.cast(count, boxes.dtype)
        start = tf.range(count) / count
        return tf.maximum(tf.minimum(start + 1 / count, high) - tf.maximum(start, low), 0) * count

    x0, y0, x1, y1 = tf.unstack(boxes[:, 0], axis=-1)  # [B, 1] each
    return covered(y0, y1, height)[:, :, None] * covered(x0, x1, width)[:, None, :]


def localizer_objectives(class_weight: float = 1.0, **losses: keras.losses.Loss) -> dict:
    """Return losses and metrics of a model with a localizer's outputs, as `keras.Model.compile` takes them.

    Args:
        class_weight: float. Multiplies the loss of the class.
        **losses: of further outputs, by their names.
    """
    losses = {"class": ClassLoss(from_logits=True), "box": BoxLoss(), **losses}
    return {
        "loss": losses,
        "loss_weights": {name: class_weight if name == "class" else 1.0 for name in losses},
        "metrics": {
            "class": [keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
            "box": [mean_iou, loc_acc_50],
        },
    }
