"""Boxes as RetinaNet learns them: offsets from anchors, and which anchor answers for which object."""

import math

import tensorflow as tf

from kerassl.boxes import pairwise_iou

# Offsets are divided by these, so that their loss is of the size of the classification loss (KerasCV's figures).
VARIANCE = (0.1, 0.1, 0.2, 0.2)
# A side may grow to 62 times its anchor's, no more: the exponential of a wild offset would be infinite.
_MAX_GROWTH = math.log(1000 / 16)

BACKGROUND = -1.0
IGNORED = -2.0


def encode(boxes, anchors):
    """Boxes as offsets from anchors: (centre y, centre x, log height, log width) over `VARIANCE`.

    Args:
        boxes: `[..., A, 4]` float tensor, xyxy in pixels.
        anchors: `[A, 4]` float tensor, xyxy in pixels.

    Returns:
        `[..., A, 4]` float tensor in KerasCV's order.
    """
    size, anchor_size = (tf.maximum(box[..., 2:] - box[..., :2], 1e-7) for box in (boxes, anchors))
    centre, anchor_centre = ((box[..., 2:] + box[..., :2]) / 2 for box in (boxes, anchors))
    shift = (centre - anchor_centre) / anchor_size
    growth = tf.math.log(size / anchor_size)
    return tf.concat([shift[..., ::-1], growth[..., ::-1]], -1) / VARIANCE


def decode_offsets(offsets, anchors):
    """The reverse of `encode`.

    Args:
        offsets: `[..., A, 4]` float tensor.
        anchors: `[A, 4]` float tensor, xyxy in pixels.

    Returns:
        `[..., A, 4]` float tensor, xyxy in pixels, not clipped.
    """
    offsets = offsets * VARIANCE
    anchor_size = anchors[..., 2:] - anchors[..., :2]
    centre = offsets[..., 1::-1] * anchor_size + (anchors[..., 2:] + anchors[..., :2]) / 2
    size = tf.exp(tf.minimum(offsets[..., :1:-1], _MAX_GROWTH)) * anchor_size
    return tf.concat([centre - size / 2, centre + size / 2], -1)


def targets(anchors, boxes, classes, *, positive=0.5, negative=0.4):
    """What each anchor is to answer.

    An anchor answers for the object that it overlaps most, if by `positive` or more; it is background below
    `negative` and not asked in between. Beyond the paper (and as in Detectron2), every object keeps the anchor that
    fits it best, however badly: without that rule small and slim objects are never learned.

    Args:
        anchors: `[A, 4]` float tensor, xyxy in pixels.
        boxes: `[B, M, 4]` float tensor, xyxy in pixels.
        classes: `[B, M]` float tensor; negative in rows that only pad.

    Returns:
        Offsets `[B, A, 4]`, and classes `[B, A]` in which -1 is background and -2 not asked.
    """
    # One more row that only pads: a batch in which no image has an object may come without any row.
    boxes = tf.pad(boxes, [[0, 0], [0, 1], [0, 0]], constant_values=-1)
    classes = tf.pad(classes, [[0, 0], [0, 1]], constant_values=-1)
    real = classes >= 0
    overlap = tf.where(real[:, None], pairwise_iou(anchors, boxes), -1.0)  # [B, A, M]
    best, owner = tf.reduce_max(overlap, -1), tf.argmax(overlap, -1)  # [B, A]
    count = tf.shape(anchors)[0]
    kept = tf.one_hot(tf.argmax(overlap, 1), count, on_value=True, off_value=False, axis=1)  # [B, A, M]
    kept = tf.logical_and(kept, real[:, None])
    # Two objects may want one anchor: it answers for the one that it overlaps more.
    owner = tf.where(tf.reduce_any(kept, -1), tf.argmax(tf.where(kept, overlap, -2.0), -1), owner)
    found = tf.logical_or(best >= positive, tf.reduce_any(kept, -1))
    owned = tf.gather(boxes, owner, batch_dims=1)  # [B, A, 4]
    label = tf.gather(classes, owner, batch_dims=1)  # [B, A]
    label = tf.where(found, label, tf.where(best < negative, tf.cast(BACKGROUND, label.dtype), IGNORED))
    offsets = tf.where(found[..., None], encode(owned, anchors), 0.0)
    return offsets, label
