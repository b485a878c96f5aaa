"""Task-aligned assignment of objects to locations, by how well these predict them already."""

from __future__ import annotations

import numpy as np

from kerassl._compat import tf
from kerassl.boxes import pairwise_iou


def targets(
    centers: np.ndarray | tf.Tensor,
    boxes: tf.Tensor,
    classes: tf.Tensor,
    predicted: tf.Tensor,
    scores: tf.Tensor,
    *,
    count: int = 10,
    alpha: float = 0.5,
    beta: float = 6.0,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Compute each location's targets, given its predictions.

    The candidates of an object are the locations whose center is in its box. It keeps the `count` that are best aligned
    with it: whose score for its class to the power of `alpha`, times the IoU of their box to the power of `beta`, is
    highest. A location that several objects keep is assigned to the one that it overlaps most. Its target score is its
    alignment, scaled for each object so that the best location's is the best IoU among its locations.

    Beyond the paper, the candidate of an object too small to hold a center is the location with the nearest center, and
    locations with the same alignment as the last one kept are kept too.

    Args:
        centers: `[A, 2]` float tensor, (x, y) of the locations' centers in pixels.
        boxes: `[B, M, 4]` float tensor, xyxy in pixels.
        classes: `[B, M]` float tensor; negative in padding.
        predicted: `[B, A, 4]` float tensor, the locations' boxes, xyxy in pixels.
        scores: `[B, A, C]` float tensor in [0, 1].
        count: int, locations of an object.
        alpha, beta: floats, exponents of score and overlap.

    Returns:
        Boxes `[B, A, 4]`, scores `[B, A, C]` that are 0 for locations without object, and the rows `[B, A]` of the
        objects that locations are assigned to, `M` for none. No gradient passes.

    References:
        Feng et al., "TOOD: Task-aligned One-stage Object Detection", 2021, section 3.2.
    """
    # One more row of padding: a batch in which no image has an object may have no row.
    centers = tf.cast(centers, boxes.dtype)
    boxes = tf.pad(boxes, [[0, 0], [0, 1], [0, 0]], constant_values=-1)
    classes = tf.pad(classes, [[0, 0], [0, 1]], constant_values=-1)
    candidate = tf.logical_and(candidates(centers, boxes), (classes >= 0)[:, None])  # [B, A, M]
    overlap = pairwise_iou(predicted, boxes)
    own = tf.gather(scores, tf.cast(tf.maximum(classes, 0), tf.int32), axis=2, batch_dims=1)  # [B, A, M]
    alignment = tf.where(candidate, own**alpha * overlap**beta, 0.0)

    count = tf.minimum(count, tf.shape(centers)[0])
    last = tf.math.top_k(tf.transpose(alignment, [0, 2, 1]), count).values[:, :, -1]  # [B, M]
    kept = tf.logical_and(candidate, alignment >= last[:, None])
    owner = tf.argmax(tf.where(kept, overlap, -1.0), -1)  # [B, A]
    kept = tf.logical_and(kept, tf.one_hot(owner, tf.shape(boxes)[1], on_value=True, off_value=False))

    alignment = tf.where(kept, alignment, 0.0)
    best = tf.reduce_max(tf.where(kept, overlap, 0.0), 1, keepdims=True)  # [B, 1, M]
    share = tf.math.divide_no_nan(alignment, tf.reduce_max(alignment, 1, keepdims=True))
    wanted = tf.reduce_max(share * best, -1, keepdims=True)  # [B, A, 1]
    label = tf.cast(tf.gather(classes, owner, batch_dims=1), tf.int32)
    wanted *= tf.one_hot(label, tf.shape(scores)[2], dtype=wanted.dtype)
    owned = tf.gather(boxes, owner, batch_dims=1)
    nothing = tf.cast(tf.shape(boxes)[1] - 1, owner.dtype)  # the row of padding
    owner = tf.where(tf.reduce_any(kept, -1), owner, nothing)
    return tf.stop_gradient(owned), tf.stop_gradient(wanted), owner


def candidates(centers: tf.Tensor, boxes: tf.Tensor) -> tf.Tensor:
    """Return `[B, A, M]` bool: the locations whose center is in a box, or else the nearest one."""
    inside = tf.logical_and(
        tf.reduce_all(centers[:, None] > boxes[:, None, :, :2], -1),
        tf.reduce_all(centers[:, None] < boxes[:, None, :, 2:], -1),
    )
    middle = (boxes[..., :2] + boxes[..., 2:]) / 2
    far = tf.reduce_sum(tf.math.squared_difference(centers[:, None], middle[:, None]), -1)  # [B, A, M]
    nearest = tf.one_hot(tf.argmin(far, 1), tf.shape(centers)[0], on_value=True, off_value=False, axis=1)
    return tf.where(tf.reduce_any(inside, 1, keepdims=True), inside, nearest)
