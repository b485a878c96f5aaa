"""Intersection over union of boxes, in NumPy and in TensorFlow."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from kerassl._errors import UserError
from kerassl._lazy import tf


def box_iou(a: ArrayLike, b: ArrayLike) -> np.ndarray:
    """Compute the intersection over union of every box of one list with every box of another.

    Boxes are continuous. VOC's inclusive pixel boxes as (xmin - 1, ymin - 1, xmax, ymax) have the IoU that the devkit
    computes from inclusive pixels.

    Args:
        a: `[n, 4]` array, xyxy in pixels.
        b: `[m, 4]` array, xyxy in pixels.

    Returns:
        `[n, m]` float64 array in [0, 1]; 0 where neither box has an area.

    Example:
        >>> kerassl.boxes.box_iou([[0, 0, 2, 2]], [[1, 0, 3, 2]])
        array([[0.33333333]])
    """
    a = np.asarray(a, np.float64).reshape(-1, 4)[:, None]
    b = np.asarray(b, np.float64).reshape(-1, 4)[None]
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])  # [n, m, 2]
    common = np.prod(np.maximum(sides, 0.0), axis=-1)
    union = np.prod(a[..., 2:] - a[..., :2], axis=-1) + np.prod(b[..., 2:] - b[..., :2], axis=-1) - common
    return np.divide(common, union, out=np.zeros_like(common), where=union > 0)


def paired_iou(boxes: ArrayLike, targets: ArrayLike) -> np.ndarray:
    """Compute the intersection over union of box `i` with target `i`.

    Args:
        boxes: `[N, 4]` array, xyxy. A box without area, or an inverted one, has IoU 0.
        targets: `[N, 4]` array, xyxy.

    Returns:
        `[N]` float64 array in [0, 1].

    Raises:
        UserError: if the shapes differ or there is no box.

    Example:
        >>> kerassl.boxes.paired_iou([[0, 0, 2, 2]], [[0, 0, 2, 4]])
        array([0.5])
    """
    boxes, targets = np.asarray(boxes, np.float64), np.asarray(targets, np.float64)
    if boxes.shape != targets.shape or boxes.ndim != 2 or boxes.shape[1] != 4 or not len(boxes):
        raise UserError(
            f"boxes are {boxes.shape} and targets {targets.shape}; give one xyxy box an image to each, [N, 4]"
        )
    common = _area(np.maximum(boxes[:, :2], targets[:, :2]), np.minimum(boxes[:, 2:], targets[:, 2:]))
    union = _area(boxes[:, :2], boxes[:, 2:]) + _area(targets[:, :2], targets[:, 2:]) - common
    return np.divide(common, union, out=np.zeros_like(common), where=union > 0)


def _area(low, high):
    return np.prod(np.maximum(high - low, 0.0), axis=-1)


def pairwise_iou(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """Compute the IoU `[..., A, M]` of every pair of boxes `[..., A, 4]` and `[..., M, 4]` in the graph; 0 if empty."""
    first, second = first[..., :, None, :], second[..., None, :, :]
    sides = tf.minimum(first[..., 2:], second[..., 2:]) - tf.maximum(first[..., :2], second[..., :2])
    common = tf.reduce_prod(tf.maximum(sides, 0), -1)  # [..., A, M]
    areas = [tf.reduce_prod(tf.maximum(box[..., 2:] - box[..., :2], 0), -1) for box in (first, second)]
    return tf.math.divide_no_nan(common, areas[0] + areas[1] - common)
