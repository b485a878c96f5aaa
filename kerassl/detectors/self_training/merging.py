"""Detections of two detectors, or in an image and in its mirror image, as one list."""

from __future__ import annotations

import numpy as np

from kerassl.boxes import box_iou
from kerassl.types import Detections


def merge_mirrored(
    found: Detections, mirrored: Detections, width: float, iou: float = 0.5
) -> tuple[Detections, np.ndarray]:
    """Merge the detections in an image with those in its mirror image, as `merge` does.

    Args:
        found: `Detections` in the image.
        mirrored: `Detections` in the mirror image, in its coordinates.
        width: float, of the image in pixels.
        iou: float above 0. The least overlap of a pair.

    Returns:
        `Detections` by falling score, and `[n]` float32 array, how far the two images agree on each.
    """
    boxes = _flipped(mirrored.boxes, width)
    return merge(found, Detections(boxes, mirrored.scores, mirrored.classes, mirrored.class_names), iou)


def merge(found: Detections, others: Detections, iou: float = 0.5) -> tuple[Detections, np.ndarray]:
    """Merge two lists of detections in an image.

    Boxes of a class are matched, the pairs of the highest mean scores first, each box once. A pair becomes one
    detection with the mean box and the mean score. What is in one of the lists alone keeps its box and half of its
    score.

    Args:
        found, others: `Detections`, of the same classes.
        iou: float above 0. The least overlap of a pair.

    Returns:
        `Detections` by falling score, and `[n]` float32 array, how far the two lists agree on each: the pair's IoU, 0
        without a pair.
    """
    first, second = np.asarray(found.boxes, np.float64), np.asarray(others.boxes, np.float64).reshape(-1, 4)
    scores = np.asarray(found.scores, np.float64), np.asarray(others.scores, np.float64)
    overlap = box_iou(first, second) if len(first) and len(second) else np.zeros([len(first), len(second)])
    rows, columns = _pairs(
        (scores[0][:, None] + scores[1]) / 2,
        np.where(found.classes[:, None] == others.classes[None], overlap, 0.0),
        iou,
    )
    alone = [np.setdiff1d(np.arange(len(own)), used) for own, used in ((first, rows), (second, columns))]
    boxes = np.concatenate([(first[rows] + second[columns]) / 2, first[alone[0]], second[alone[1]]])
    means = [(scores[0][rows] + scores[1][columns]) / 2, scores[0][alone[0]] / 2, scores[1][alone[1]] / 2]
    score = np.concatenate(means).astype(np.float32)
    classes = np.concatenate([found.classes[rows], found.classes[alone[0]], others.classes[alone[1]]]).astype(int)
    agreement = np.concatenate([overlap[rows, columns], np.zeros(len(alone[0]) + len(alone[1]))])
    order = np.lexsort([*boxes.T[::-1], classes, -score])  # of equal scores whatever their order was
    merged = Detections(boxes[order].astype(np.float32), score[order], classes[order], found.class_names)
    return merged, agreement[order].astype(np.float32)


def _flipped(boxes, width):
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    return np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], axis=1)


def _pairs(scores, overlap, iou):
    """Rows and columns of the pairs that are chosen one after the other by falling score, then by falling overlap."""
    rows, columns = np.nonzero(overlap >= iou)
    order = np.lexsort([columns, rows, -overlap[rows, columns], -scores[rows, columns]])
    ranks = np.full(overlap.shape, np.inf)
    ranks[rows[order], columns[order]] = np.arange(len(order))
    chosen = np.zeros(overlap.shape, bool)
    # The first of its row and of its column is next, whatever comes before it elsewhere: a few turns choose all.
    while np.isfinite(ranks).any():
        first = np.isfinite(ranks) & (ranks == ranks.min(0)) & (ranks == ranks.min(1, keepdims=True))
        chosen |= first
        ranks[first.any(1)] = np.inf
        ranks[:, first.any(0)] = np.inf
    return np.nonzero(chosen)
