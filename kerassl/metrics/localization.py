"""Metrics of one box an image."""

from __future__ import annotations

import numpy as np

from kerassl.boxes import paired_iou
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


def localization_of_ious(
    ious: np.ndarray, ranks: np.ndarray | None = None, class_count: int = 3
) -> LocalizationMetrics:
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
