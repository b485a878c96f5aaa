"""Boxes as YOLOV8 learns them: distances from a location's center to the sides, each a distribution over 16 bins."""

from __future__ import annotations

import math

import numpy as np

from kerassl._compat import tf
from kerassl.types import LEVELS

STRIDES = tuple(LEVELS.values())
BINS = 16
"""A distance is 0 to 15 strides."""

START = [-0.5 * number for number in range(BINS)] * 4
"""The logits of a location's bins before training: a box of three strides. Uniform ones make it fifteen strides wide,
which overlaps too few objects to learn."""

_TINY = 1e-7


def locations(image_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return centers `[A, 2]` (x, y) and strides `[A, 1]` of the locations of P3, P4 and P5, row by row, in pixels."""
    centers, strides = [], []
    for stride in STRIDES:
        steps = np.arange(stride / 2, image_size, stride, dtype="float32")
        x, y = np.meshgrid(steps, steps)
        centers.append(np.stack([x, y], -1).reshape(-1, 2))
        strides.append(np.full([steps.size**2, 1], stride, "float32"))
    return np.concatenate(centers), np.concatenate(strides)


def expected(bins: tf.Tensor) -> tf.Tensor:
    """Return the expected distances to the four sides, `[..., 4]` in strides, of logits `[..., 64]` of 16 bins each."""
    bins = tf.reshape(bins, tf.concat([tf.shape(bins)[:-1], [4, BINS]], 0))
    return tf.reduce_sum(tf.nn.softmax(bins) * tf.range(BINS, dtype=bins.dtype), -1)


def to_boxes(distances: tf.Tensor, centers: np.ndarray, strides: np.ndarray) -> tf.Tensor:
    """Convert `[..., A, 4]` distances in strides to boxes, xyxy in pixels."""
    distances *= strides
    return tf.concat([centers - distances[..., :2], centers + distances[..., 2:]], -1)


def to_distances(boxes: tf.Tensor, centers: np.ndarray, strides: np.ndarray) -> tf.Tensor:
    """Convert boxes to distances, the inverse of `to_boxes`."""
    return tf.concat([centers - boxes[..., :2], boxes[..., 2:] - centers], -1) / strides


def ciou(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """Compute the complete IoU of pairs of boxes, given as distances from the same locations.

    Args:
        first, second: `[..., 4]` float tensors: left, top, right and bottom of the same point.

    Returns:
        `[...]` float tensor in (-2, 1]: the IoU, less the square of the centers' distance over that of the enclosing
        box's diagonal, less a term for different aspect ratios. No gradient passes through the weight of that term.

    References:
        Zheng et al., "Distance-IoU Loss", 2020, and "Enhancing Geometric Factors in Model Learning and Inference for
        Object Detection and Instance Segmentation", 2020, eq. 6 to 10.
    """
    sizes = [tf.maximum(box[..., :2] + box[..., 2:], _TINY) for box in (first, second)]
    common = tf.reduce_prod(tf.maximum(_sides(tf.minimum(first, second)), 0), -1)
    union = tf.reduce_prod(sizes[0], -1) + tf.reduce_prod(sizes[1], -1) - common
    iou = common / (union + _TINY)
    shift = ((first[..., 2:] - first[..., :2]) - (second[..., 2:] - second[..., :2])) / 2
    diagonal = tf.reduce_sum(tf.square(_sides(tf.maximum(first, second))), -1)
    angles = [tf.atan(size[..., 0] / size[..., 1]) for size in sizes]
    unlike = 4 / math.pi**2 * tf.square(angles[0] - angles[1])
    weight = tf.stop_gradient(unlike / (1 - iou + unlike + _TINY))
    return iou - tf.reduce_sum(tf.square(shift), -1) / (diagonal + _TINY) - weight * unlike


def _sides(distances):
    return distances[..., :2] + distances[..., 2:]


def distribution_loss(distances: tf.Tensor, bins: tf.Tensor) -> tf.Tensor:
    """Compute the cross-entropy of the two bins next to the true distance, weighted by nearness; the mean of all sides.

    Args:
        distances: `[..., 4]` float tensor in strides; beyond 0 to 15 it is clipped.
        bins: `[..., 64]` float tensor of logits.

    Returns:
        `[...]` float tensor in nats.

    References:
        Li et al., "Generalized Focal Loss", 2020, eq. 6.
    """
    bins = tf.reshape(bins, tf.concat([tf.shape(bins)[:-1], [4, BINS]], 0))
    distances = tf.clip_by_value(distances, 0.0, BINS - 1.0)
    # Bin i has the weight 1 - |i - distance|, which is 0 for all bins but the two.
    nearness = tf.maximum(1 - tf.abs(distances[..., None] - tf.range(BINS, dtype=distances.dtype)), 0)
    return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(nearness, bins), -1)
