"""Weights of labels in a detector's loss: how much a box, its corners, the background and an unclear region count."""

from __future__ import annotations

import typing
from collections.abc import Callable

from kerassl._compat import tf


class Labels(typing.NamedTuple):
    """The labels of a batch, as `datasets.detection_batches` returns them.

    Attributes:
        boxes: `[B, M, 4]` float tensor, xyxy in pixels.
        classes: `[B, M]` float tensor, negative in padding.
        weight: `[B, M]` float tensor, or None where all labels count alike: factor of a box's loss terms, and of its
            share of the normalizer.
        box_weight: `[B, M]` float tensor: factor of the box regression on top of it.
        ignore: `[B, M]` float tensor, 1 for regions in which objects of their class are neither right nor wrong.
        background: `[B, 4]` float tensor: factors of the terms of locations without an object, in the quarters of an
            image (top left, top right, bottom left and right).
        center: `[B, 2]` float tensor, (x, y) in pixels, where the quarters meet.
    """

    boxes: tf.Tensor
    classes: tf.Tensor
    weight: tf.Tensor | None = None
    box_weight: tf.Tensor | None = None
    ignore: tf.Tensor | None = None
    background: tf.Tensor | None = None
    center: tf.Tensor | None = None

    def objects(self) -> tf.Tensor:
        """Return the classes `[B, M]` of the boxes to be found, negative elsewhere."""
        return self.classes if self.ignore is None else tf.where(self.ignore <= 0, self.classes, -1.0)


def location_weights(labels: Labels, owner: tf.Tensor, centers: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Compute how much each location counts.

    Args:
        owner: `[B, A]` int tensor, the row of the object that a location is assigned to; `M` for the background.
        centers: `[A, 2]` float tensor, (x, y) of the locations in pixels.

    Returns:
        Factors of the class loss and of the box loss, `[B, A]` each; the latter is that of 0 objects for the
        background too, whose box loss is not counted.
    """
    if labels.weight is None or labels.center is None:
        ones = tf.ones(tf.shape(owner), labels.boxes.dtype)
        return ones, ones
    rows = tf.shape(labels.weight)[1]
    weight, box_weight = (
        tf.gather(tf.pad(each, [[0, 0], [0, 1]], constant_values=1.0), owner, batch_dims=1)
        for each in (labels.weight, labels.box_weight)
    )
    behind = tf.cast(centers[None] >= labels.center[:, None], tf.int32)  # [B, A, 2]
    quarter = behind[..., 0] + 2 * behind[..., 1]
    background = tf.gather(labels.background, quarter, batch_dims=1)
    weight = tf.where(owner < tf.cast(rows, owner.dtype), weight, background)
    return weight, weight * box_weight


def mask_ignored(wanted: tf.Tensor, labels: Labels, hits: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
    """Mark the logits that are neither right nor wrong: those of a region's class, where no object of it is assigned.

    Args:
        wanted: `[B, A, C]` float tensor, the target scores.
        hits: function from boxes `[B, M, 4]` to a bool tensor `[B, A, M]`: whether a location belongs to a box.

    Returns:
        `[B, A, C]` float tensor, -1 at those logits.
    """
    if labels.ignore is None:
        return wanted
    # One more row of padding: a batch in which no image has an object may have no row.
    boxes = tf.pad(labels.boxes, [[0, 0], [0, 1], [0, 0]], constant_values=-1.0)
    classes = tf.where(labels.ignore > 0, labels.classes, -1.0)
    classes = tf.pad(classes, [[0, 0], [0, 1]], constant_values=-1.0)
    regions = tf.one_hot(tf.cast(classes, tf.int32), tf.shape(wanted)[2], dtype=wanted.dtype)  # no row for -1
    ignored = tf.matmul(tf.cast(hits(boxes), wanted.dtype), regions) > 0
    return tf.where(tf.logical_or(tf.logical_not(ignored), wanted > 0), wanted, -1.0)


def counted(loss: Callable[[tf.Tensor, tf.Tensor], tf.Tensor], wanted: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Compute the loss of each logit, 0 and without gradient where the target is negative.

    Args:
        loss: function of targets and logits of the same shape.
        wanted: `[B, A, C]` float tensor, as of `mask_ignored`.
        logits: `[B, A, C]` float tensor.

    Returns:
        `[B, A, C]` float tensor.
    """
    known = wanted >= 0
    # Both are replaced before the loss: a gradient of 0 times infinity would be none.
    return tf.where(known, loss(tf.where(known, wanted, 0.0), tf.where(known, logits, 0.0)), 0.0)
