"""Which cell answers for which object, by how well it does already."""

import tensorflow as tf

from kerassl.boxes import pairwise_iou


def targets(centres, boxes, classes, predicted, scores, *, count=10, alpha=0.5, beta=6.0):
    """What each cell is to answer, given what it answers now.

    An object asks the cells whose centre lies in its box, and keeps the `count` that are best aligned with it: whose
    score for its class to the power of `alpha`, times the IoU of their box to the power of `beta`, is highest. A cell
    that several objects keep is left to the one that it overlaps most. The score that a cell is to give is its
    alignment, scaled for each object so that its best cell is to give the best IoU among its cells.

    Beyond the paper, an object too small to hold a cell's centre asks the cell whose centre is nearest to its own, and
    cells level with the last one kept are kept too.

    Args:
        centres: `[A, 2]` float tensor, (x, y) of the cells' centres in pixels.
        boxes: `[B, M, 4]` float tensor, xyxy in pixels.
        classes: `[B, M]` float tensor; negative in rows that only pad.
        predicted: `[B, A, 4]` float tensor, the cells' boxes, xyxy in pixels.
        scores: `[B, A, C]` float tensor in [0, 1].
        count: int, cells of an object.
        alpha, beta: floats, how much score and overlap count.

    Returns:
        Boxes `[B, A, 4]`, and scores `[B, A, C]` that are 0 for cells without object. No gradient passes.

    Reference:
        Feng et al., "TOOD: Task-aligned One-stage Object Detection", 2021, section 3.2.
    """
    # One more row that only pads: a batch in which no image has an object may come without any row.
    centres = tf.cast(centres, boxes.dtype)
    boxes = tf.pad(boxes, [[0, 0], [0, 1], [0, 0]], constant_values=-1)
    classes = tf.pad(classes, [[0, 0], [0, 1]], constant_values=-1)
    asked = tf.logical_and(_asked(centres, boxes), (classes >= 0)[:, None])  # [B, A, M]
    overlap = pairwise_iou(predicted, boxes)
    own = tf.gather(scores, tf.cast(tf.maximum(classes, 0), tf.int32), axis=2, batch_dims=1)  # [B, A, M]
    alignment = tf.where(asked, own**alpha * overlap**beta, 0.0)

    count = tf.minimum(count, tf.shape(centres)[0])
    last = tf.math.top_k(tf.transpose(alignment, [0, 2, 1]), count).values[:, :, -1]  # [B, M]
    kept = tf.logical_and(asked, alignment >= last[:, None])
    owner = tf.argmax(tf.where(kept, overlap, -1.0), -1)  # [B, A]
    kept = tf.logical_and(kept, tf.one_hot(owner, tf.shape(boxes)[1], on_value=True, off_value=False))

    alignment = tf.where(kept, alignment, 0.0)
    best = tf.reduce_max(tf.where(kept, overlap, 0.0), 1, keepdims=True)  # [B, 1, M]
    share = tf.math.divide_no_nan(alignment, tf.reduce_max(alignment, 1, keepdims=True))
    wanted = tf.reduce_max(share * best, -1, keepdims=True)  # [B, A, 1]
    label = tf.cast(tf.gather(classes, owner, batch_dims=1), tf.int32)
    wanted *= tf.one_hot(label, tf.shape(scores)[2], dtype=wanted.dtype)
    return tf.stop_gradient(tf.gather(boxes, owner, batch_dims=1)), tf.stop_gradient(wanted)


def _asked(centres, boxes):
    """`[B, A, M]`: the cells whose centre lies in a box, or the nearest one where none does."""
    inside = tf.logical_and(
        tf.reduce_all(centres[:, None] > boxes[:, None, :, :2], -1),
        tf.reduce_all(centres[:, None] < boxes[:, None, :, 2:], -1),
    )
    middle = (boxes[..., :2] + boxes[..., 2:]) / 2
    far = tf.reduce_sum(tf.math.squared_difference(centres[:, None], middle[:, None]), -1)  # [B, A, M]
    nearest = tf.one_hot(tf.argmin(far, 1), tf.shape(centres)[0], on_value=True, off_value=False, axis=1)
    return tf.where(tf.reduce_any(inside, 1, keepdims=True), inside, nearest)
