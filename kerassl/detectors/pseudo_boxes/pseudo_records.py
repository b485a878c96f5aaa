"""Boxes around what stands out of photographs: something to train on where nobody drew any."""

import collections
import logging

import numpy as np

from kerassl._errors import UserError
from kerassl.datasets.pipeline.letterboxed import identified
from kerassl.datasets.record import Record
from kerassl.detectors.pseudo_boxes.foreground import Foreground
from kerassl.detectors.pseudo_boxes.heatmaps import component_boxes

log = logging.getLogger("kerassl")

_FEW = 0.1
"""A smaller share of images with a box is warned of: a neck that began with the boxes of 3 % of photographs ended worse
than one from a random start."""


def pseudo_records(
    backbone,
    images,
    *,
    image_size=224,
    heatmap="component",
    level="P5",
    threshold=0.2,
    pieces=1,
    smallest=0.01,
    largest=0.9,
    sample=500,
    batch_size=16,
    verbose=1,
):
    """Draws boxes by the backbone's own features, without labels: pseudo-boxes.

    For each photograph a heatmap of what stands out (`detectors.Foreground`) is cut, and its largest pieces are boxed.
    The boxes are far from those that people draw; `pretrain_neck` begins with them, and `draw` shows them.

    Args:
        backbone: flat functional `keras.Model` of images in [0, 255]. It stays as it is.
        images: a folder, a file or a list of those, or a list of `datasets.Record`s, whose boxes and classes are not
            read.
        image_size: int, the side of the letterboxed images in pixels, a multiple of 32. It need not be the detector's.
        heatmap: `"component"` or `"similarity"`; see `detectors.Foreground`.
        level: `"P3"`, `"P4"` or `"P5"`, the feature map.
        threshold: float in (0, 1). The heatmap is cut at this share of its highest value in the image.
        pieces: int. At most so many boxes an image, those around the pieces of most pixels.
        smallest, largest: floats in [0, 1]. Boxes that cover less or more than these shares of the picture are left
            out: specks, and the whole picture, which teaches nothing.
        sample: int. From how many photographs at most the common features are learned.
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
    _check(threshold, pieces, smallest, largest)
    ids, paths = identified(images)
    look = Foreground(
        backbone, paths, image_size, kind=heatmap, level=level, sample=sample, batch_size=batch_size, verbose=verbose
    )
    records, left = [], collections.Counter()
    for place, heat, scale, size in look.heatmaps(paths, verbose):
        boxes, why = boxes_of(heat, threshold, pieces, smallest, largest)
        left.update(why)
        if len(boxes):
            records.append(_record(ids[place], paths[place], boxes / scale, size))
    log.info(
        "%d pseudo-boxes in %d of %d images%s",
        sum(len(record.boxes) for record in records),
        len(records),
        len(paths),
        "".join(f"; {what}: {count}" for what, count in sorted(left.items())),
    )
    if not records:
        raise UserError(
            f"none of {len(paths)} images has a pseudo-box; lower smallest (it is {smallest:g}), raise largest "
            f"({largest:g}), or begin with a backbone that has learned more"
        )
    if len(records) < _FEW * len(paths):
        log.warning(
            "only %d of %d images have a pseudo-box: these features hardly tell things from their ground, and a neck "
            "that begins with so few boxes may end worse than without; pre-train longer, or leave the neck out",
            len(records), len(paths),
        )  # fmt: skip
    return records


def boxes_of(heat, threshold, pieces=1, smallest=0.0, largest=1.0):
    """The boxes around the largest pieces of a heatmap.

    Args:
        heat: `[H, W]` array in [0, 1].
        threshold, pieces, smallest, largest: those of `pseudo_records`.

    Returns:
        `[n, 4]` float64 array, xyxy in pixels of the heatmap, the largest piece first; and a dict of why how many were
        left out.
    """
    if not heat.any():
        return np.zeros([0, 4]), {"images without heat": 1}
    boxes = component_boxes(heat, threshold)[:pieces]
    shares = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) / heat.size
    small, large = shares < smallest, shares > largest
    counts = {"boxes too small": int(small.sum()), "boxes too large": int(large.sum())}
    return boxes[~small & ~large], {why: count for why, count in counts.items() if count}


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


def _check(threshold, pieces, smallest, largest):
    if not 0 < threshold < 1:
        raise UserError(f"threshold is {threshold}; give a share of the highest value between 0 and 1, as 0.2")
    if pieces < 1:
        raise UserError(f"pieces is {pieces}; give 1 or more boxes an image")
    if not 0 <= smallest < largest <= 1:
        raise UserError(
            f"smallest is {smallest} and largest {largest}; give shares of the picture, the smaller one first"
        )
