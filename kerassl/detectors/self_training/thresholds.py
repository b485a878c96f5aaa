"""Scores from which the detections of a teacher become labels, or regions that are neither right nor wrong."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from kerassl._errors import UserError
from kerassl._numbers import SHARE, SHARE_ABOVE_0
from kerassl.datasets.record import Record
from kerassl.types import finite


@dataclasses.dataclass(frozen=True)
class Thresholds:
    """The lowest scores of each class.

    Attributes:
        class_names: tuple of str.
        label: tuple of floats. Detections that score as much become labels; infinity for a class without any.
        ignore: tuple of floats, at most those of `label`. Others that score as much become ignored regions.
        unlabeled: tuple of str, the classes that get no labels because the labeled images have none.
    """

    class_names: tuple[str, ...]
    label: tuple[float, ...]
    ignore: tuple[float, ...]
    unlabeled: tuple[str, ...] = ()

    def kinds(self, scores: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return which detections become labels, and which ignored regions.

        Args:
            scores: `[n]` array.
            classes: `[n]` int array.

        Returns:
            Two `[n]` bool arrays.
        """
        scores, classes = np.asarray(scores, np.float64), np.asarray(classes, int)
        labels = scores >= np.array(self.label)[classes]
        return labels, (scores >= np.array(self.ignore)[classes]) & ~labels

    def to_dict(self) -> dict:
        """Return the thresholds by class, with None for infinity."""
        rows = zip(self.class_names, self.label, self.ignore)
        return finite({name: {"label": label, "ignore": ignore} for name, label, ignore in rows})


def fixed(score: float, class_names: Sequence[str]) -> Thresholds:
    """Return one threshold for all classes, without ignored regions.

    Args:
        score: float in [0, 1]; 0.3 is what was measured.
        class_names: sequence of str.

    Returns:
        `Thresholds`.

    Raises:
        UserError: if the score is out of range.
    """
    if not SHARE.fits(score):
        raise UserError(f"the threshold is {score}; give a score from 0 to 1, as 0.3")
    same = (float(score),) * len(class_names)
    return Thresholds(tuple(class_names), same, same)


def count_matched(
    scores: np.ndarray,
    classes: np.ndarray,
    images: int,
    labeled: Sequence[Record],
    class_names: Sequence[str],
    *,
    share: float = 0.25,
    floor: float = 0.05,
) -> Thresholds:
    """Choose thresholds by which images have as many boxes of each class as labeled images do.

    A class is expected as often an image as in the labeled images. The best `share` of that number of its detections
    become labels, the others up to that number ignored regions. A threshold is a score: of equal scores all are in.
    The order of the detections does not matter.

    Args:
        scores: `[n]` array, of the detections in all images.
        classes: `[n]` int array.
        images: int, how many there are, those without a detection included.
        labeled: sequence of `datasets.Record`, whose classes are numbered by `class_names`.
        class_names: sequence of str.
        share: float above 0, at most 1.
        floor: float in [0, 1]. The lowest threshold.

    Returns:
        `Thresholds`.

    Raises:
        UserError: if there is no labeled image, or an argument is out of range.

    References:
        Chen et al., "Label Matching Semi-Supervised Object Detection", 2022.
    """
    if not len(labeled):
        raise UserError("there are no labeled images to count boxes in; give some, or a fixed threshold")
    if not SHARE_ABOVE_0.fits(share) or not SHARE.fits(floor):
        raise UserError(f"share is {share} and floor {floor}; give numbers from 0 to 1, the share above 0")
    scores, classes = np.asarray(scores, np.float64), np.asarray(classes, int)
    cuts = []
    counts = class_counts(labeled, len(class_names))
    for place, count in enumerate(counts):
        expected = count * images / len(labeled)
        falling = -np.sort(-scores[(classes == place) & (scores >= floor)])
        cuts.append([_cut(falling, _rounded(number), floor) for number in (share * expected, expected)])
    absent = tuple(name for name, count in zip(class_names, counts) if not count)
    return Thresholds(tuple(class_names), tuple(each[0] for each in cuts), tuple(each[1] for each in cuts), absent)


def class_counts(labeled: Sequence[Record], count: int) -> np.ndarray:
    """Return how many objects to be found there are of each of `count` classes: `[count]` int array."""
    found = [record.classes[~record.ignored] for record in labeled]
    return np.bincount(np.concatenate([np.zeros(0, int), *found]).astype(int), minlength=count)


def _rounded(number):
    return math.floor(number + 0.5)


def _cut(falling, count, floor):
    """The score of the detection at a rank, counted from 1; infinity for rank 0, and the floor where there are fewer"""
    if count == 0:
        return math.inf
    return floor if count > len(falling) else float(falling[count - 1])
