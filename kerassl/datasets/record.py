"""One annotated image."""

from __future__ import annotations

import dataclasses
import typing

import numpy as np

from kerassl.types import Detections


@dataclasses.dataclass(frozen=True, eq=False)
class CocoObjects:
    """The objects of an image as in its COCO json, for COCO's evaluation: not clipped, rounded or left out.

    Attributes:
        boxes: `[m, 4]` float64, x, y, width and height.
        areas: `[m]` float64, the json's `area` of each.
        classes: `[m]` int32.
        crowd: `[m]` bool.
        ids: `[m]` int64, the json's `id` of each.
        made: tuple of the arrays `boxes`, `classes` and `crowd` of the record that was made of them.
    """

    boxes: np.ndarray
    areas: np.ndarray
    classes: np.ndarray
    crowd: np.ndarray
    ids: np.ndarray
    made: tuple


class Named(typing.NamedTuple):
    """The names of a record's classes.

    Attributes:
        names: tuple of str.
        numbers: the record's `classes`.
    """

    names: tuple
    numbers: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class LabelWeights:
    """How much the labels of an image count in training, as those that a detector made.

    Attributes:
        weight: `[n]` float32, factor of a box's loss terms, and of its share of the loss's normalizer.
        box_weight: `[n]` float32, factor of its box regression on top of that; 0 trains its class alone.
        ignore: `[n]` bool. Regions in which objects of their class are neither right nor wrong.
        background: float, factor of the loss of locations without an object.
    """

    weight: np.ndarray
    box_weight: np.ndarray
    ignore: np.ndarray
    background: float = 1.0

    def of(self, kept: np.ndarray) -> LabelWeights:
        """Return the weights of some of the boxes, by their places or a mask."""
        return LabelWeights(self.weight[kept], self.box_weight[kept], self.ignore[kept], self.background)


@dataclasses.dataclass(frozen=True, eq=False)
class Record:
    """An image on disk with its boxes.

    Height, width and boxes are those of the displayed image, rotated by its EXIF orientation, as `read_image` returns
    it. Readers rotate the boxes of annotations whose stated size is that of the stored image alone; see
    `DetectionDataset.from_voc`. Boxes
    are `xyxy` in continuous pixels: VOC's inclusive (xmin, ymin, xmax, ymax), counted from 1, is here (xmin - 1,
    ymin - 1, xmax, ymax), so that x1 - x0 is the number of pixel columns.

    Attributes:
        image_id: str, unique in its data set.
        path: str, the image file.
        height: int, in pixels.
        width: int, in pixels.
        boxes: `[n, 4]` float32.
        classes: `[n]` int32, places in the list of classes that the reader was given.
        difficult: `[n]` bool. Difficult objects are neither right nor wrong in VOC's evaluation.
        crowd: `[n]` bool. Crowd regions (COCO's `iscrowd`) are boxes around many objects: none of them is an object
            to train on or to find. None for no crowd.
        mask_path: str or None. A palette PNG of the objects' pixels (VOC's SegmentationObject); None
            where EXIF rotates the image, as a mask has none.
        coco: `CocoObjects` of the same objects, or None: a copy with other boxes, classes or crowds has none.
        named: `Named`, the names that the classes were numbered by, or None where they are not known: a copy with
            other classes has none.
        weights: `LabelWeights` of the same boxes, or None where all count alike.
        file: str or None. The image file that an image in shards was packed from.
    """

    image_id: str
    path: str
    height: int
    width: int
    boxes: np.ndarray
    classes: np.ndarray
    difficult: np.ndarray
    crowd: np.ndarray = None  # type: ignore[assignment]  # filled in below
    mask_path: str | None = None
    coco: CocoObjects | None = None
    named: Named | None = None
    weights: LabelWeights | None = None
    file: str | None = None

    def __post_init__(self):
        if self.crowd is None and self.difficult is not None:
            object.__setattr__(self, "crowd", np.zeros(np.shape(self.difficult), np.bool_))
        own = (self.boxes, self.classes, self.crowd)
        if self.coco is not None and any(ours is not theirs for ours, theirs in zip(own, self.coco.made)):
            object.__setattr__(self, "coco", None)
        if self.named is not None and self.named.numbers is not self.classes:
            object.__setattr__(self, "named", None)

    @property
    def ignored(self) -> np.ndarray:
        """`[n]` bool, the boxes that need not be found: difficult objects, crowd and ignored regions."""
        found = np.asarray(self.difficult, bool) | np.asarray(self.crowd, bool)
        return found if self.weights is None else found | self.weights.ignore

    def without_weights(self) -> Record:
        """Return the record with its boxes as plain labels, without the regions that are ignored."""
        if self.weights is None:
            return self
        parts = {name: getattr(self, name)[~self.weights.ignore] for name in ("boxes", "classes", "difficult", "crowd")}
        return dataclasses.replace(self, weights=None, **parts)

    def plot(self, width: int | None = None) -> np.ndarray:
        """Draw the boxes as dashed green frames over the image file, without crowd regions.

        Args:
            width: int or None; see `Detections.plot`.

        Returns:
            `[H', W', 3]` uint8 array.
        """
        nothing = Detections(np.zeros([0, 4]), np.zeros(0), np.zeros(0, int))
        return nothing.plot(self.path, truth=self, width=width)

    def largest(self) -> int | None:
        """Return the index of the largest box to be found (of equals the first), or None where all are ignored."""
        if self.ignored.all():
            return None
        sides = self.boxes[:, 2:] - self.boxes[:, :2]
        return int(np.argmax(np.where(self.ignored, -1.0, sides[:, 0] * sides[:, 1])))
