"""Metrics of one box an image."""

from __future__ import annotations

import numpy as np

from kerassl._errors import UserError
from kerassl.types import LocalizationMetrics


def localization(boxes: np.ndarray, targets: np.ndarray) -> LocalizationMetrics:
    """Compute how well one box an image fits one object an image.

    Args:
        boxes: `[N, 4]` array, xyxy, one for each image, in the unit of `targets`. A box without area, or an inverted
            one, has IoU 0.
        targets: `[N, 4]` array, xyxy.

    Returns:
        `LocalizationMetrics` without `top1` and `top3`.

    Raises:
        UserError: if the shapes differ or there is no box.

    Example:
        >>> kerassl.metrics.localization([[0, 0, 2, 2]], [[0, 0, 2, 3]]).loc_acc_70
        0.0
    """
    return localization_of_ious(paired_iou(boxes, targets))


def localization_of_ious(ious, ranks=None, class_count=3):
    """Return `LocalizationMetrics` from the IoU and, if given, the rank of the correct class of each image."""
    top1 = top3 = None
    if ranks is not None:
        top1 = float(np.mean(ranks < 1))
        top3 = float(np.mean(ranks < 3)) if class_count >= 3 else None
    return LocalizationMetrics(
        mean_iou=float(np.mean(ious)),
        loc_acc_50=float(np.mean(ious >= 0.5)),
        loc_acc_70=float(np.mean(ious >= 0.7)),
        top1=top1,
        top3=top3,
    )


def paired_iou(boxes, targets):
    """Return the IoU of box `i` with target `i`: `[N]` float64."""
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
