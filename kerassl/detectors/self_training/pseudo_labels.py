"""Detections of a teacher as labels for a student."""

from __future__ import annotations

import dataclasses
import typing

import numpy as np

from kerassl._errors import UserError
from kerassl._numbers import FROM_0, SHARE
from kerassl.datasets.record import LabelWeights
from kerassl.detectors.self_training.thresholds import Thresholds


@dataclasses.dataclass(frozen=True)
class PseudoWeights:
    """How much pseudo-labels count in training; the defaults are plain labels.

    Attributes:
        by_score: bool. Whether a box counts as much as it scores, and not as much as a label.
        least_agreement: float in [0, 1], or None for all. Boxes on which an image and its mirror image agree less
            train their class alone.
        background: float from 0, the weight of locations without an object.
        empty_background: float from 0, the same in images without a label: 0.05 where the teacher misses many objects.

    Raises:
        UserError: if a value is out of range.
    """

    by_score: bool = False
    least_agreement: float | None = None
    background: float = 1.0
    empty_background: float = 1.0

    def __post_init__(self):
        known = self.least_agreement is None or SHARE.fits(self.least_agreement)
        if not known or not FROM_0.fits(self.background) or not FROM_0.fits(self.empty_background):
            raise UserError(
                f"least_agreement is {self.least_agreement}, background {self.background} and empty_background "
                f"{self.empty_background}; give an agreement from 0 to 1, and weights from 0 up"
            )


PLAIN = PseudoWeights()


class Chosen(typing.NamedTuple):
    """The detections of an image that are kept, and their weights.

    Attributes:
        places: `[k]` int array, of detections.
        weights: `datasets.LabelWeights` of them.
    """

    places: np.ndarray
    weights: LabelWeights


def choose(
    scores: np.ndarray,
    classes: np.ndarray,
    thresholds: Thresholds,
    weights: PseudoWeights = PLAIN,
    agreement: np.ndarray | None = None,
) -> Chosen:
    """Choose the detections of an image that become labels or ignored regions.

    Args:
        scores: `[n]` array.
        classes: `[n]` int array.
        thresholds: `Thresholds`.
        weights: `PseudoWeights`.
        agreement: `[n]` array of `merge_mirrored`, or None where images were not mirrored.

    Returns:
        `Chosen`.

    Raises:
        UserError: if weights need an agreement that is not given.
    """
    labels, ignored = thresholds.kinds(scores, classes)
    places = np.flatnonzero(labels | ignored)
    box_weight = np.ones(len(places), np.float32)
    if weights.least_agreement is not None:
        if agreement is None:
            raise UserError("least_agreement is for images that are also mirrored; give mirror, or leave it out")
        box_weight[np.asarray(agreement)[places] < weights.least_agreement] = 0.0
    return Chosen(
        places,
        LabelWeights(
            weight=np.asarray(scores, np.float32)[places] if weights.by_score else np.ones(len(places), np.float32),
            box_weight=box_weight,
            ignore=ignored[places],
            background=weights.background if labels.any() else weights.empty_background,
        ),
    )
