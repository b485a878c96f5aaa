"""Pseudo-boxes: boxes around the foreground of unlabeled images, from the features of a backbone."""

from __future__ import annotations

import collections
import logging
import os
from collections.abc import Sequence

import numpy as np

from kerassl._errors import UserError
from kerassl._lazy import keras
from kerassl.datasets.pipeline.letterboxed import identified
from kerassl.datasets.record import Record
from kerassl.detectors.pseudo_boxes.foreground import Foreground
from kerassl.detectors.pseudo_boxes.heatmaps import component_boxes

log = logging.getLogger("kerassl")

_FEW = 0.1
"""Warn of a smaller share of images with a box: a neck pre-trained on the boxes of 3 % of images ended worse than one
from random initialization."""


def pseudo_records(
    backbone: keras.Model,
    images: str | os.PathLike | Sequence[str | os.PathLike | Record],
    *,
    image_size: int = 224,
    heatmap: str = "component",
    level: str = "P5",
    threshold: float = 0.2,
    max_boxes: int = 1,
    min_size: float = 0.01,
    max_size: float = 0.9,
    sample: int = 500,
    batch_size: int = 16,
    verbose: int = 1,
) -> list[Record]:
    """Generate pseudo-boxes from the backbone's features, without labels.

    A heatmap of the foreground of each image (`detectors.Foreground`) is thresholded, and its largest connected
    components are boxed. The boxes are far from human annotations; `pretrain_neck` starts with them, and `Record.plot`
    shows them.

    Args:
        backbone: flat functional `keras.Model` of images in [0, 255]. It is not changed.
        images: a folder, a file or a list of those, or a list of `datasets.Record`s, whose labels are not read.
        image_size: int, the side of the letterboxed images in pixels, a multiple of 32. It need not be the detector's.
        heatmap: `"component"` or `"similarity"`; see `detectors.Foreground`.
        level: `"P3"`, `"P4"` or `"P5"`, the feature map.
        threshold: float in (0, 1), the share of the heatmap's highest value in the image that components reach.
        max_boxes: int. The most boxes an image, those around the components of most pixels.
        min_size, max_size: floats in [0, 1]. Boxes that cover less or more than these shares of the image are left out:
            specks, and the whole image, which teaches nothing.
        sample: int. The most images from which the common features are learned.
        batch_size: int. Does not change the result.
        verbose: 0 or 1. Whether to show progress bars.

    Returns:
        List of `datasets.Record` of the images that have a box, with boxes in pixels of the original image, all of
        class 0 and none difficult. What was left out is counted in the log.

    Raises:
        UserError: if an argument is out of range, there is no image, or no image has a box.

    Example:
        >>> records = kerassl.detectors.pseudo_records(backbone, "photos/")
        >>> image = records[0].plot()
    """
    _check(threshold, max_boxes, min_size, max_size)
    ids, paths = identified(images)
    foreground = Foreground(
        backbone, paths, image_size, kind=heatmap, level=level, sample=sample, batch_size=batch_size, verbose=verbose
    )
    records: list[Record] = []
    left: collections.Counter = collections.Counter()
    for place, values, scale, size in foreground.heatmaps(paths, verbose):
        boxes, left_out = boxes_of(values, threshold, max_boxes, min_size, max_size)
        left.update(left_out)
        if len(boxes):
            records.append(_record(ids[place], paths[place], boxes / scale, size))
    log.info(
        "%d pseudo-boxes in %d of %d images%s",
        sum(len(record.boxes) for record in records),
        len(records),
        len(paths),
        "".join(f"; {reason}: {count}" for reason, count in sorted(left.items())),
    )
    if not records:
        raise UserError(
            f"none of {len(paths)} images has a pseudo-box; lower min_size (it is {min_size:g}), raise max_size "
            f"({max_size:g}), or use a backbone that is pre-trained longer"
        )
    if len(records) < _FEW * len(paths):
        log.warning(
            "only %d of %d images have a pseudo-box: these features hardly separate foreground from background, and a "
            "neck pre-trained on so few boxes may be worse than none; pre-train longer, or leave the neck out",
            len(records), len(paths),
        )  # fmt: skip
    return records


def boxes_of(
    heatmap: np.ndarray, threshold: float, max_boxes: int = 1, min_size: float = 0.0, max_size: float = 1.0
) -> tuple[np.ndarray, dict[str, int]]:
    """Return boxes `[n, 4]` around the largest components of a heatmap, and counts of those left out by reason."""
    if not heatmap.any():
        return np.zeros([0, 4]), {"images without foreground": 1}
    boxes = component_boxes(heatmap, threshold)[:max_boxes]
    shares = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) / heatmap.size
    small, large = shares < min_size, shares > max_size
    counts = {"boxes too small": int(small.sum()), "boxes too large": int(large.sum())}
    return boxes[~small & ~large], {reason: count for reason, count in counts.items() if count}


def _record(image_id, path, boxes, size):
    limits = np.array([size[1], size[0]] * 2, np.float32)
    return Record(
        image_id=image_id,
        path=path,
        height=size[0],
        width=size[1],
        boxes=np.minimum(boxes.astype(np.float32), limits),
        classes=np.zeros(len(boxes), np.int32),
        difficult=np.zeros(len(boxes), np.bool_),
    )


def _check(threshold, max_boxes, min_size, max_size):
    if not 0 < threshold < 1:
        raise UserError(f"threshold is {threshold}; give a share of the highest value between 0 and 1, as 0.2")
    if max_boxes < 1:
        raise UserError(f"max_boxes is {max_boxes}; give 1 or more boxes an image")
    if not 0 <= min_size < max_size <= 1:
        raise UserError(f"min_size is {min_size} and max_size {max_size}; give shares of the image, the smaller first")
