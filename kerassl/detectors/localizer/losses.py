"""The losses and the training-time measures of one class and one box an image."""

from kerassl._compat import keras, tf
from kerassl.losses.replicas import OverReplicas


def _overlap(first, second):
    corner = tf.maximum(first[..., :2], second[..., :2]), tf.minimum(first[..., 2:], second[..., 2:])
    common = tf.reduce_prod(tf.maximum(corner[1] - corner[0], 0), -1)
    areas = [tf.reduce_prod(tf.maximum(box[..., 2:] - box[..., :2], 0), -1) for box in (first, second)]
    return common, areas[0] + areas[1] - common


@keras.saving.register_keras_serializable(package="kerassl")
def mean_iou(y_true, y_pred):
    """Intersection over union of each pair of boxes `[B, 4]` xyxy: `[B]` in [0, 1]."""
    common, union = _overlap(tf.cast(y_true, y_pred.dtype), y_pred)
    return tf.math.divide_no_nan(common, union)


@keras.saving.register_keras_serializable(package="kerassl")
def loc_acc_50(y_true, y_pred):
    """1 where the IoU of a pair of boxes `[B, 4]` xyxy is 0.5 or more, else 0: `[B]`."""
    return tf.cast(mean_iou(y_true, y_pred) >= 0.5, y_pred.dtype)


@keras.saving.register_keras_serializable(package="kerassl")
class ClassLoss(OverReplicas, keras.losses.SparseCategoricalCrossentropy):
    """`keras.losses.SparseCategoricalCrossentropy`, which several replicas compute of the whole batch."""


@keras.saving.register_keras_serializable(package="kerassl")
class BoxLoss(OverReplicas, keras.losses.Loss):
    """Generalised IoU loss plus the mean absolute error of the corners.

    The one follows the measure, the other still points the way where two boxes lie far apart.

    Args:
        l1_weight: float >= 0. Multiplies the absolute error, which is in units of the image's side.
        **kwargs: those of `keras.losses.Loss`.

    Call arguments:
        y_true, y_pred: `[B, 4]` float tensors, xyxy in [0, 1].

    Returns:
        The mean over the batch, float32.

    Reference:
        Rezatofighi et al., "Generalized Intersection over Union", 2019.
    """

    def __init__(self, l1_weight=5.0, name="box_loss", **kwargs):
        super().__init__(name=name, **kwargs)
        self.l1_weight = l1_weight

    def call(self, y_true, y_pred):
        y_true = tf.cast(y_true, y_pred.dtype)
        common, union = _overlap(y_true, y_pred)
        hull_sides = tf.maximum(y_true[..., 2:], y_pred[..., 2:]) - tf.minimum(y_true[..., :2], y_pred[..., :2])
        hull = tf.reduce_prod(tf.maximum(hull_sides, 0), -1)
        giou = tf.math.divide_no_nan(common, union) - tf.math.divide_no_nan(hull - union, hull)
        return 1 - giou + self.l1_weight * tf.reduce_mean(tf.abs(y_true - y_pred), -1)

    def get_config(self):
        return {**super().get_config(), "l1_weight": self.l1_weight}
