"""The loss that each cell of a localiser's grid gets, beside that of their common answer."""

import keras
import tensorflow as tf

from kerassl.detectors.localizer.head import cell_boxes
from kerassl.detectors.localizer.losses import BoxLoss
from kerassl.losses.replicas import OverReplicas


@keras.saving.register_keras_serializable(package="kerassl")
class CellLoss(OverReplicas, keras.losses.Loss):
    """Cells on the object are to say so, and each of them is to propose the object's box by itself.

    Of few labeled images the common answer alone makes one example each; the cells make dozens.

    Args:
        **kwargs: those of `keras.losses.Loss`.

    Call arguments:
        y_true: `[B, 4]` float, xyxy in [0, 1].
        y_pred: `[B, h, w, 5]` float, each cell's score (a logit) and its sides, as `localizer_outputs` gives them.

    Returns:
        The mean over the batch, float32: the cross-entropy of the score and the share of the cell that the box covers,
        averaged over all cells, plus `BoxLoss`, averaged over the cells by that share.
    """

    def __init__(self, name="cell_loss", **kwargs):
        super().__init__(name=name, **kwargs)
        self._box_loss = BoxLoss()

    def call(self, y_true, y_pred):
        y_true = tf.cast(y_true, y_pred.dtype)[:, None, None]  # [B, 1, 1, 4]
        scores, sides = y_pred[..., 0], y_pred[..., 1:]
        share = _share(y_true, tf.shape(sides)[1], tf.shape(sides)[2])  # [B, h, w]
        naming = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(share, scores), [1, 2])
        drawing = self._box_loss.call(y_true, cell_boxes(sides))
        return naming + tf.math.divide_no_nan(tf.reduce_sum(drawing * share, [1, 2]), tf.reduce_sum(share, [1, 2]))


def _share(boxes, height, width):
    """How much of each cell of a grid `[B, 1, 1, 4]` boxes cover: `[B, h, w]` in [0, 1]."""

    def covered(low, high, cells):  # along one axis: [B, cells]
        cells = tf.cast(cells, boxes.dtype)
        start = tf.range(cells) / cells
        return tf.maximum(tf.minimum(start + 1 / cells, high) - tf.maximum(start, low), 0) * cells

    x0, y0, x1, y1 = tf.unstack(boxes[:, 0], axis=-1)  # [B, 1] each
    return covered(y0, y1, height)[:, :, None] * covered(x0, x1, width)[:, None, :]
