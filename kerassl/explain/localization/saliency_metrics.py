"""Localization metrics of saliency maps against boxes and masks."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from kerassl._errors import UserError
from kerassl.boxes import box_iou
from kerassl.detectors.pseudo_boxes.heatmaps import component_boxes

THRESHOLDS = np.round(np.arange(0.05, 1.0, 0.05), 2)
"""The shares of the highest value at which heatmaps are cut for their boxes."""

OVERLAPS = (0.3, 0.5, 0.7)
"""The overlaps with the truth that MaxBoxAccV2 averages over; MaxBoxAcc takes the middle one."""

_LEVELS = 1000  # heatmap values are counted in thousandths for PxAP


def saliency_metrics(
    heatmaps: np.ndarray,
    boxes: Sequence[np.ndarray] | None = None,
    masks: Sequence[np.ndarray | None] | np.ndarray | None = None,
    *,
    ignored: Sequence[np.ndarray] | None = None,
    others: np.ndarray | None = None,
    threshold: float = 0.5,
    tolerance: float | np.ndarray = 15.0,
) -> SaliencyMetrics:
    """Score saliency maps against the objects that they should cover.

    - `energy`: the share of the heatmap's sum that is in the objects.
    - `coverage`: the share of the objects' pixels that are at least `threshold`.
    - `pointing`: whether the highest pixel is at most `tolerance` pixels from an object; where several are highest,
      the share of them that are.
    - `pointing_difficult`: the same, on images whose objects of the class take less than a quarter and that hold
      another class, too.
    - `box_acc`: the share of images where the box around the largest piece of the heatmap from `threshold` on overlaps
      an object by 0.5 or more.
    - `max_box_acc`: `box_acc` at the best of 19 thresholds, 0.05 to 0.95.
    - `max_box_acc_v2`: the same with the box of any piece, averaged over overlaps of 0.3, 0.5 and 0.7, each at its best
      threshold.
    - `pxap`: where there are masks, the average precision of the pixels of all images together.

    Objects are the masks where there are some, else the boxes; boxes are scored against boxes always, which are those
    around the masks where none are given. A difficult object (`ignored`) is none to be found: an image without any
    other is left out (nan), and so is an image whose highest pixel is on one, for `pointing`. A heatmap that is 0
    everywhere finds nothing.

    Args:
        heatmaps: `[N, H, W]` array in [0, 1].
        boxes: None, or for each image an `[n, 4]` array, xyxy in pixels of the heatmaps: all objects of the class.
        masks: None, or `[N, H, W]` bool array, or a list with None for images that have none.
        ignored: None, or for each image an `[m, 4]` array of difficult objects of the class.
        others: None, or `[N]` bool array: whether the image holds another class. Without it `pointing_difficult` is
            not known.
        threshold: float in (0, 1], for `coverage` and `box_acc`; `SaliencyMetrics.best_threshold` chooses one on images
            that are not scored.
        tolerance: float or `[N]` array, in pixels of the heatmaps. 15 pixels of the original image by custom: 15 times
            the letterbox's scale.

    Returns:
        `SaliencyMetrics`, with a value an image; its `figures()` are the averages.

    Raises:
        UserError: if there are neither boxes nor masks, or numbers, sizes or values do not fit.

    Example:
        >>> heatmaps = kerassl.explain.GradCAM(localizer)(images, classes)
        >>> kerassl.explain.saliency_metrics(heatmaps, boxes).figures()["energy"]
        0.61

    Reference:
        Zhang et al., "Top-down Neural Attention by Excitation Backprop", 2016 (pointing game, difficult images).
        Choe et al., "Evaluating Weakly Supervised Object Localization Methods Right", 2020 (MaxBoxAcc, MaxBoxAccV2,
        PxAP). Wang et al., "Score-CAM", 2020 (energy).
    """
    heatmaps = np.asarray(heatmaps, np.float32)
    _check_heatmaps(heatmaps)
    count, *size = heatmaps.shape
    masks = [None] * count if masks is None else list(masks)
    if boxes is None:
        if any(mask is None for mask in masks):
            raise UserError("there are neither boxes nor a mask for every image; give one of them")
        boxes = [around(np.asarray(mask, bool)) for mask in masks]
    ignored = [np.zeros([0, 4])] * count if ignored is None else ignored
    for name, each in (("boxes", boxes), ("masks", masks), ("ignored", ignored)):
        if len(each) != count:
            raise UserError(f"{name} are {len(each)} for {count} heatmaps; give one entry for each")
    if not 0 < threshold <= 1:
        raise UserError(f"threshold is {threshold}; give a share of the highest value, above 0 and at most 1")
    tolerance = np.broadcast_to(np.asarray(tolerance, float), [count])
    rows = [
        _one(heatmaps[i], _boxes(boxes[i]), masks[i], _boxes(ignored[i]), threshold, tolerance[i]) for i in range(count)
    ]
    columns = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    areas = (filled(_boxes(box), size) if mask is None else np.asarray(mask, bool) for box, mask in zip(boxes, masks))
    small = np.array([area.mean() < 0.25 for area in areas])
    hard = np.zeros(count, bool) if others is None else small & np.asarray(others, bool)
    return SaliencyMetrics(threshold=float(threshold), hard=hard, **columns)


@dataclasses.dataclass(frozen=True, eq=False)
class SaliencyMetrics:
    """The result of `saliency_metrics`, an entry an image; nan where an image is left out.

    Attributes:
        threshold: float, at which `coverage` and `box_acc` were taken.
        energy, coverage, pointing: `[N]` float arrays.
        hard: `[N]` bool, the images of `pointing_difficult`.
        largest: `[N, T]` float array: the best overlap with an object of the box around the heatmap's largest piece,
            for each of `THRESHOLDS`.
        any_piece: `[N, T]` float array: the same for the best of all pieces.
        at_threshold: `[N]` float array: as `largest`, at `threshold`.
        pixels: `[N, 2, 1001]` int array: how many pixels outside and inside the mask have each thousandth.
    """

    threshold: float
    hard: np.ndarray
    energy: np.ndarray
    coverage: np.ndarray
    pointing: np.ndarray
    largest: np.ndarray
    any_piece: np.ndarray
    at_threshold: np.ndarray
    pixels: np.ndarray

    def figures(self, rows: np.ndarray | slice = slice(None)) -> dict[str, float]:
        """Return the means, in [0, 1], over images or over some of them (`[n]` int array or slice); nan without any."""
        largest, any_piece = self.largest[rows], self.any_piece[rows]
        counted = ~np.isnan(self.at_threshold[rows])
        largest, any_piece = largest[counted], any_piece[counted]
        found = {
            "energy": _mean(self.energy[rows]),
            "coverage": _mean(self.coverage[rows]),
            "pointing": _mean(self.pointing[rows]),
            "box_acc": _mean(self.at_threshold[rows][counted] >= OVERLAPS[1]),
            "max_box_acc": _mean(largest >= OVERLAPS[1], axis=0).max(),
            "max_box_acc_v2": np.mean([_mean(any_piece >= overlap, axis=0).max() for overlap in OVERLAPS]),
        }
        if self.hard.any():
            found["pointing_difficult"] = _mean(self.pointing[rows][self.hard[rows]])
        if self.pixels.any():
            found["pxap"] = _pixel_ap(self.pixels[rows].sum(axis=0))
        return {name: float(value) for name, value in found.items()}

    def best_threshold(self) -> float:
        """Return the one of `THRESHOLDS` with the highest `box_acc`; of equals the middle one."""
        counted = ~np.isnan(self.at_threshold)
        accuracy = _mean(self.largest[counted] >= OVERLAPS[1], axis=0)
        best = np.flatnonzero(accuracy == accuracy.max())
        return float(THRESHOLDS[best[len(best) // 2]])


def _one(heatmap, boxes, mask, ignored, threshold, tolerance):
    """All measures of one image."""
    size = heatmap.shape
    scored = len(boxes) > 0
    objects = filled(boxes, size) if mask is None else np.asarray(mask, bool)
    if objects.shape != size:
        raise UserError(f"a mask is {objects.shape} and its heatmap {size}; give both in one size")
    excused = filled(ignored, size) & ~objects
    pixels = np.zeros([2, _LEVELS + 1], np.int64)
    if mask is not None and scored:
        values = np.rint(heatmap * _LEVELS).astype(int)
        for place, area in enumerate((~objects & ~excused, objects)):
            pixels[place] = np.bincount(values[area], minlength=_LEVELS + 1)
    nowhere = np.full(len(THRESHOLDS), np.nan)
    found = {"energy": np.nan, "coverage": np.nan, "pointing": np.nan, "largest": nowhere, "any_piece": nowhere}
    found |= {"at_threshold": np.nan, "pixels": pixels}
    if not scored:
        return found
    total = heatmap[~excused].sum(dtype=float)
    found["energy"] = heatmap[objects].sum(dtype=float) / total if total > 0 else 0.0
    found["coverage"] = np.mean(heatmap[objects] >= threshold) if objects.any() else np.nan
    found["pointing"] = _points(heatmap, objects, boxes if mask is None else None, excused, tolerance)
    overlaps = np.array([_overlaps(heatmap, level, boxes) for level in (*THRESHOLDS, threshold)])  # [T + 1, 2]
    found["largest"], found["any_piece"] = overlaps[:-1, 0], overlaps[:-1, 1]
    found["at_threshold"] = overlaps[-1, 0]
    return found


def _points(heatmap, objects, boxes, excused, tolerance):
    if heatmap.max() <= 0:
        return 0.0
    rows, columns = np.nonzero(heatmap == heatmap.max())
    hits = _distance(rows + 0.5, columns + 0.5, objects, boxes) <= tolerance
    counted = hits | ~excused[rows, columns]
    return hits[counted].mean() if counted.any() else np.nan


def _distance(y, x, objects, boxes):
    """Return the distance of points from the nearest object, in pixels; 0 within one."""
    if boxes is not None:
        beyond_x = np.maximum(np.maximum(boxes[:, None, 0] - x, x - boxes[:, None, 2]), 0)  # [n, points]
        beyond_y = np.maximum(np.maximum(boxes[:, None, 1] - y, y - boxes[:, None, 3]), 0)
        return np.hypot(beyond_x, beyond_y).min(axis=0)
    from scipy import ndimage

    return ndimage.distance_transform_edt(~objects)[y.astype(int), x.astype(int)]


def _overlaps(heatmap, level, boxes):
    """The overlap with the nearest object of the largest piece's box, and the best of all pieces' boxes."""
    pieces = component_boxes(heatmap, level)
    if not len(pieces):
        return 0.0, 0.0
    best = box_iou(pieces, boxes).max(axis=1)
    return best[0], best.max()


def filled(boxes: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """Return the pixels whose centers are in one of the boxes."""
    y, x = (np.arange(side) + 0.5 for side in size)
    filled = np.zeros(size, bool)
    for x0, y0, x1, y1 in boxes:
        filled |= ((y >= y0) & (y < y1))[:, None] & ((x >= x0) & (x < x1))
    return filled


def around(mask: np.ndarray) -> np.ndarray:
    """Return the box around the pixels of a mask, `[1, 4]`; `[0, 4]` without any."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return np.zeros([0, 4])
    return np.array([[columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]], float)


def _pixel_ap(counts):
    """Return the average precision of pixels: the sum over thresholds of precision times the gain of recall.

    Args:
        counts: `[2, K]` int array: how many pixels outside and inside objects have each value, by rising value.
    """
    outside, inside = (np.cumsum(row[::-1], dtype=float) for row in counts)
    if not inside[-1]:
        return float("nan")
    precision = np.divide(inside, inside + outside, out=np.ones_like(inside), where=inside + outside > 0)
    return float(np.sum(np.diff(inside, prepend=0.0) / inside[-1] * precision))


def _boxes(boxes):
    return np.asarray(boxes, float).reshape(-1, 4)


def _mean(values, axis=None):
    """The mean of what is not nan; nan, without a warning, where there is nothing."""
    values = np.asarray(values, float)
    known = ~np.isnan(values)
    total, number = np.where(known, values, 0.0).sum(axis=axis), known.sum(axis=axis)
    return np.divide(total, number, out=np.full(np.shape(total), np.nan), where=number > 0)


def _check_heatmaps(heatmaps):
    if heatmaps.ndim != 3 or not heatmaps.size:
        raise UserError(f"heatmaps are {heatmaps.shape}; give [images, height, width]")
    if not np.isfinite(heatmaps).all() or heatmaps.min() < 0 or heatmaps.max() > 1:
        raise UserError(
            f"heatmaps go from {heatmaps.min():.3g} to {heatmaps.max():.3g}; give values in [0, 1], as GradCAM does"
        )
