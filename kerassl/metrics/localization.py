"""Scores of one box an image."""

import numpy as np

from kerassl._errors import UserError


def localization(boxes, targets):
    """How well one box an image fits one object an image.

    Args:
        boxes: `[N, 4]` array, xyxy, one for each image; any unit, the same as that of `targets`. A box without area,
            or an inverted one, has overlap 0.
        targets: `[N, 4]` array, xyxy.

    Returns:
        Dict of floats: `mean_iou`, and the shares of images whose IoU is at least 0.5 and at least 0.7, `loc_acc_50`
        and `loc_acc_70`.

    Raises:
        UserError: if the shapes differ or there is no box.

    Example:
        >>> kerassl.metrics.localization([[0, 0, 2, 2]], [[0, 0, 2, 3]])["loc_acc_70"]
        0.0
    """
    return localization_of_ious(paired_iou(boxes, targets))


def localization_of_ious(ious):
    """The dict that `localization` returns, of an IoU for each image."""
    return {
        "mean_iou": float(np.mean(ious)),
        "loc_acc_50": float(np.mean(ious >= 0.5)),
        "loc_acc_70": float(np.mean(ious >= 0.7)),
    }


def paired_iou(boxes, targets):
    """Intersection over union of box `i` with target `i`: `[N]` float64."""
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
