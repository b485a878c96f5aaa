"""Figures of what a teacher labeled, beside those of the images that people labeled."""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from kerassl._display import printable
from kerassl.datasets.record import Record
from kerassl.detectors.self_training.thresholds import Thresholds, class_counts
from kerassl.types import finite

_UNLIKE, _COLLAPSED = 0.3, 1.0  # KL divergences
_FEW = 0.05  # of the boxes that are expected of a class


@dataclasses.dataclass(frozen=True)
class LabelingCard:
    """The figures of what a teacher labeled.

    Attributes:
        class_names: tuple of str.
        images: int, how many were labeled, those without a box included.
        empty: int, those without a box.
        boxes: tuple of ints, the labels of each class.
        ignored: tuple of ints, the ignored regions of each class.
        labeled_images: int, that people labeled.
        labeled_boxes: tuple of ints, the labels of each class in them.
        thresholds: `Thresholds`.
        left_out: dict from a reason to the number of images that were left out for it.
    """

    class_names: tuple[str, ...]
    images: int
    empty: int
    boxes: tuple[int, ...]
    ignored: tuple[int, ...]
    labeled_images: int
    labeled_boxes: tuple[int, ...]
    thresholds: Thresholds
    left_out: Mapping[str, int] = dataclasses.field(default_factory=dict)

    @property
    def divergence(self) -> float:
        """KL divergence of the classes' shares, of people's labels from the teacher's, in nats; nan without either.

        Half a box is added to the teacher's of each class, so that it is finite where it misses one.
        """
        if not sum(self.labeled_boxes) or not sum(self.boxes):
            return math.nan
        people = np.array(self.labeled_boxes) / sum(self.labeled_boxes)
        teacher = np.array(self.boxes) + 0.5
        teacher /= teacher.sum()
        there = people > 0
        return float(max(0.0, np.sum(people[there] * np.log(people[there] / teacher[there]))))

    def collapse(self) -> str | None:
        """Return in one line that the teacher finds nothing, or one of several classes alone; None if it does not."""
        if not sum(self.boxes):
            return f"the teacher finds nothing in {self.images} images: train it longer, or lower the threshold"
        seen = [name for name, count in zip(self.class_names, self.boxes) if count]
        if len(seen) == 1 and sum(count > 0 for count in self.labeled_boxes) > 1:
            return f"the teacher finds one class of {len(self.class_names)} alone, {printable(seen[0])}{self._share()}"
        return None

    def alarms(self) -> list[str]:
        """Return what makes the labels unfit to train with, in plain words, a line each; none where all is well."""
        if not self.images:
            left = "".join(f", {count} left out: {reason}" for reason, count in self.left_out.items() if count)
            return [f"no image was labeled{left}"]
        collapse = self.collapse()
        if collapse is not None:
            return [collapse]
        found = []
        if self.divergence > _COLLAPSED:
            found.append(f"the teacher's classes have little to do with the labels'{self._share()}: do not train on it")
        elif self.divergence > _UNLIKE:
            found.append(f"the teacher's classes are others than the labels'{self._share()}: expect little of it")
        missing = [
            printable(name)
            for name, ours, theirs in zip(self.class_names, self.boxes, self.labeled_boxes)
            if theirs and ours < _FEW * theirs * self.images / self.labeled_images
        ]
        if missing:
            found.append(f"the teacher finds hardly any {', '.join(missing[:10])}")
        if self.thresholds.unlabeled:
            found.append(f"no labels of {', '.join(map(printable, self.thresholds.unlabeled[:10]))}: people gave none")
        return found

    def _share(self):
        return "" if math.isnan(self.divergence) else f" (KL divergence {self.divergence:.2f})"

    def describe(self) -> str:
        """Return what was labeled in one line."""
        boxes, people = sum(self.boxes), sum(self.labeled_boxes)
        text = f"{boxes} boxes in {self.images - self.empty} of {self.images} images"
        text += f", {sum(self.ignored)} ignored regions" if sum(self.ignored) else ""
        rate = boxes / max(self.images, 1)
        return f"{text}: {rate:.2f} an image, and {people / max(self.labeled_images, 1):.2f} in the labeled images"

    def to_dict(self) -> dict:
        """Return plain values for JSON, with None for nan and infinity."""
        rates = {
            name: {
                "boxes_per_image": ours / max(self.images, 1),
                "labeled_boxes_per_image": theirs / max(self.labeled_images, 1),
                "boxes": ours,
                "ignored": ignored,
                "labeled_boxes": theirs,
            }
            for name, ours, ignored, theirs in zip(self.class_names, self.boxes, self.ignored, self.labeled_boxes)
        }
        return finite({
            "images": self.images,
            "labeled_images": self.labeled_images,
            "empty": self.empty,
            "empty_share": self.empty / self.images if self.images else math.nan,
            "kl_divergence": self.divergence,
            "classes": rates,
            "thresholds": self.thresholds.to_dict(),
            "left_out": dict(self.left_out),
            "alarms": self.alarms(),
        })  # fmt: skip


class CardCounts:
    """The counts of a card, image by image.

    Args:
        labeled: sequence of `datasets.Record` that people labeled.
        thresholds: `Thresholds`.
    """

    def __init__(self, labeled: Sequence[Record], thresholds: Thresholds) -> None:
        self._labeled, self._thresholds = labeled, thresholds
        self._images: collections.Counter = collections.Counter()
        count = len(thresholds.class_names)
        self._boxes, self._ignored = np.zeros(count, int), np.zeros(count, int)

    def add(self, classes: np.ndarray, ignore: np.ndarray) -> None:
        """Count an image.

        Args:
            classes: `[n]` int array, those of its labels and ignored regions.
            ignore: `[n]` bool array.
        """
        self._images.update(images=1, empty=int(not np.any(~ignore)))
        np.add.at(self._boxes, classes[~ignore], 1)
        np.add.at(self._ignored, classes[ignore], 1)

    def card(self, left_out: Mapping[str, int] | None = None) -> LabelingCard:
        """Return the card of the images so far."""
        names = self._thresholds.class_names
        return LabelingCard(
            class_names=names,
            images=self._images["images"],
            empty=self._images["empty"],
            boxes=tuple(self._boxes.tolist()),
            ignored=tuple(self._ignored.tolist()),
            labeled_images=len(self._labeled),
            labeled_boxes=tuple(class_counts(self._labeled, len(names)).tolist()),
            thresholds=self._thresholds,
            left_out=dict(left_out or {}),
        )
