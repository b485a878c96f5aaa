"""Boxes as RetinaNet learns them: offsets from anchors, and the anchors' targets."""

from __future__ import annotations

import math

from kerassl._compat import tf
from kerassl.boxes import pairwise_iou

# Offsets are divided by these, so that their loss is of the size of the classification loss (KerasCV's figures).
VARIANCE = (0.1, 0.1, 0.2, 0.2)
# A side is at most 62 times its anchor's: the exponential of a large offset would be infinite.
_MAX_GROWTH = math.log(1000 / 16)

NEGATIVE = 0.4
"""The IoU below which an anchor is background."""
BACKGROUND = -1.0
IGNORED = -2.0


def encode(boxes: tf.Tensor, anchors: tf.Tensor) -> tf.Tensor:
    """Encode boxes as offsets from anchors: (center y, center x, log height, log width) over `VARIANCE`.

    Args:
        boxes: `[..., A, 4]` float tensor, xyxy in pixels.
        anchors: `[A, 4]` float tensor, xyxy in pixels.

    Returns:
        `[..., A, 4]` float tensor in KerasCV's order.
    """
    size, anchor_size = (tf.maximum(box[..., 2:] - box[..., :2], 1e-7) for box in (boxes, anchors))
    center, anchor_center = ((box[..., 2:] + box[..., :2]) / 2 for box in (boxes, anchors))
    shift = (center - anchor_center) / anchor_size
    growth = tf.math.log(size / anchor_size)
    return tf.concat([shift[..., ::-1], growth[..., ::-1]], -1) / VARIANCE


def decode_offsets(offsets: tf.Tensor, anchors: tf.Tensor) -> tf.Tensor:
    """Decode offsets `[..., A, 4]` from anchors `[A, 4]`, as of `encode`: boxes xyxy in pixels, not clipped."""
    offsets = offsets * VARIANCE
    anchor_size = anchors[..., 2:] - anchors[..., :2]
    center = offsets[..., 1::-1] * anchor_size + (anchors[..., 2:] + anchors[..., :2]) / 2
    size = tf.exp(tf.minimum(offsets[..., :1:-1], _MAX_GROWTH)) * anchor_size
    return tf.concat([center - size / 2, center + size / 2], -1)


def targets(
    anchors: tf.Tensor, boxes: tf.Tensor, classes: tf.Tensor, *, positive: float = 0.5, negative: float = NEGATIVE
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Assign an object, the background or nothing to each anchor.

    An anchor is assigned the object that it overlaps most, if by `positive` or more; it is background below `negative`
    and ignored in between. Beyond the paper (and as in Detectron2), every object keeps the anchor that fits it best,
    however badly: without that rule small and slim objects are never learned.

    Args:
        anchors: `[A, 4]` float tensor, xyxy in pixels.
        boxes: `[B, M, 4]` float tensor, xyxy in pixels.
        classes: `[B, M]` float tensor; negative in padding.

    Returns:
        Offsets `[B, A, 4]`, classes `[B, A]` in which -1 is background and -2 ignored, and the rows `[B, A]` of the
        objects that anchors are assigned to, `M` for none.
    """
    # One more row of padding: a batch in which no image has an object may have no row.
    boxes = tf.pad(boxes, [[0, 0], [0, 1], [0, 0]], constant_values=-1)
    classes = tf.pad(classes, [[0, 0], [0, 1]], constant_values=-1)
    real = classes >= 0
    overlap = tf.where(real[:, None], pairwise_iou(anchors, boxes), -1.0)  # [B, A, M]
    best, owner = tf.reduce_max(overlap, -1), tf.argmax(overlap, -1)  # [B, A]
    count = tf.shape(anchors)[0]
    kept = tf.one_hot(tf.argmax(overlap, 1), count, on_value=True, off_value=False, axis=1)  # [B, A, M]
    kept = tf.logical_and(kept, real[:, None])
    # Two objects may keep one anchor: it is assigned the one that it overlaps more.
    owner = tf.where(tf.reduce_any(kept, -1), tf.argmax(tf.where(kept, overlap, -2.0), -1), owner)
    found = tf.logical_or(best >= positive, tf.reduce_any(kept, -1))
    owned = tf.gather(boxes, owner, batch_dims=1)  # [B, A, 4]
    label = tf.gather(classes, owner, batch_dims=1)  # [B, A]
    label = tf.where(found, label, tf.where(best < negative, tf.cast(BACKGROUND, label.dtype), IGNORED))
    offsets = tf.where(found[..., None], encode(owned, anchors), 0.0)
    nothing = tf.cast(tf.shape(boxes)[1] - 1, owner.dtype)  # the row of padding
    return offsets, label, tf.where(found, owner, nothing)


def near(anchors: tf.Tensor, boxes: tf.Tensor) -> tf.Tensor:
    """Return `[B, A, M]` bool: the anchors that are not background for a box, were it the only one."""
    overlap = pairwise_iou(anchors, boxes)
    best = tf.one_hot(tf.argmax(overlap, 1), tf.shape(anchors)[0], on_value=True, off_value=False, axis=1)
    return tf.logical_or(overlap >= NEGATIVE, best)
