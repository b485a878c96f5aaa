"""Localization targets of labeled images: the class, and its objects."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import PIL.Image

from kerassl._display import printable
from kerassl._errors import UserError
from kerassl._io.file_names import nfc
from kerassl.boxes import box_iou
from kerassl.datasets import Record
from kerassl.datasets.class_names import check_known
from kerassl.datasets.pipeline.letterboxed import letterboxed_batches
from kerassl.explain.localization.saliency_metrics import SaliencyMetrics, around, saliency_metrics

log = logging.getLogger("kerassl")

_TOLERANCE = 15.0  # pixels of the original image, by the custom of the pointing game


@dataclasses.dataclass(frozen=True, eq=False)
class LocalizationTargets:
    """Letterboxed images, each with the class of its largest object that is not difficult.

    Attributes:
        records: list of N `datasets.Record`.
        images: `[N, S, S, 3]` float32 array in [0, 255].
        sizes: `[N, 2]` int array: height and width of the image within the letterbox, in pixels.
        class_ids: `[N]` int array.
        boxes: list of `[n, 4]` arrays, xyxy in pixels of `images`: the objects of the class.
        ignored: list of `[m, 4]` arrays: its difficult objects and crowd regions.
        masks: list of `[S, S]` bool arrays, the pixels of the objects of the class; None where an image has no mask.
        others: `[N]` bool array, whether the image holds another class, too.
        tolerances: `[N]` float array: 15 pixels of the original, in pixels of `images`.
    """

    records: list
    images: np.ndarray
    sizes: np.ndarray
    class_ids: np.ndarray
    boxes: list
    ignored: list
    masks: list
    others: np.ndarray
    tolerances: np.ndarray

    def __len__(self) -> int:
        return len(self.records)

    def take(self, places: Sequence[int] | np.ndarray) -> LocalizationTargets:
        """Return the targets at some places."""
        chosen: dict[str, Any] = {}
        for field in dataclasses.fields(self):
            values = getattr(self, field.name)
            chosen[field.name] = [values[i] for i in places] if isinstance(values, list) else values[list(places)]
        return LocalizationTargets(**chosen)

    def class_ids_of(self, class_names: Sequence[str] | None) -> np.ndarray:
        """Return `class_ids` as a model numbers its classes, matched by name where the records have names.

        Args:
            class_names: Those of the model, in its order, or None where it has none.

        Raises:
            UserError: if the model lacks a class.
        """
        if class_names is None:
            return self.class_ids
        places = {nfc(name): place for place, name in enumerate(class_names)}
        found = list(self.class_ids)
        for row, record in enumerate(self.records):
            if record.named is not None:
                name = nfc(record.named.names[found[row]])
                check_known([name], class_names)
                found[row] = places[name]
        return np.array(found, self.class_ids.dtype)

    def score(self, heatmaps: np.ndarray, threshold: float = 0.5) -> SaliencyMetrics:
        """Return the `saliency_metrics` of maps `[N, S, S]` of these images."""
        masks = None if any(mask is None for mask in self.masks) else self.masks
        return saliency_metrics(
            heatmaps,
            self.boxes,
            masks,
            ignored=self.ignored,
            others=self.others,
            threshold=threshold,
            tolerance=self.tolerances,
        )


def localization_targets(records: Sequence[Record], image_size: int) -> LocalizationTargets:
    """Read labeled images, each with the objects of the class of its largest one.

    Args:
        records: list of `datasets.Record`. Those without an object that is not difficult are left out, and those that
            cannot be read, which the log names.
        image_size: int, the side of the letterbox in pixels.

    Returns:
        `LocalizationTargets`.

    Raises:
        UserError: if none is left.

    Example:
        >>> val = kerassl.datasets.DetectionDataset.from_voc("VOCdevkit", 2007, "val").subset(300)
        >>> asked = kerassl.explain.localization_targets(val, 128)
        >>> asked.score(kerassl.explain.GradCAM(localizer)(asked.images, asked.class_ids)).figures()
    """
    records = [record for record in records if record.largest() is not None]
    if not records:
        raise UserError("no image has an object that is not difficult; there is nothing to explain")
    rows: dict[str, Any] = {name: [] for name in (field.name for field in dataclasses.fields(LocalizationTargets))}
    for places, images, scales, sizes in letterboxed_batches([record.path for record in records], image_size, 32):
        for place, image, scale, size in zip(places, images.numpy(), scales.numpy(), sizes.numpy()):
            record = records[place]
            wanted = record.classes[record.largest()]
            same = record.classes == wanted
            rows["records"].append(record)
            rows["images"].append(image)
            rows["sizes"].append(np.clip(np.rint(size * scale), 1, image_size).astype(int))
            rows["class_ids"].append(int(wanted))
            rows["boxes"].append(record.boxes[same & ~record.ignored] * scale)
            rows["ignored"].append(record.boxes[same & record.ignored] * scale)
            rows["masks"].append(_mask(record, same & ~record.ignored, image_size, scale))
            rows["others"].append(not same[~record.crowd].all())
            rows["tolerances"].append(_TOLERANCE * scale)
    lists = ("records", "boxes", "ignored", "masks")
    arrays: dict[str, Any] = {name: np.array(values) for name, values in rows.items() if name not in lists}
    return LocalizationTargets(**{**rows, **arrays})


def _mask(record, wanted, size, scale):
    """The pixels of some objects of a record in the letterbox, or None where its mask lacks one."""
    if record.mask_path is None or not os.path.isfile(record.mask_path):
        return None
    try:
        with PIL.Image.open(record.mask_path, formats=["PNG"]) as file:
            right = file.size == (record.width, record.height)
            numbers = np.array(file) if right else np.zeros([0, 0])
    except Exception as error:  # Pillow's decoders raise many kinds
        log.warning("left out the mask %s: it cannot be decoded (%s)", printable(record.mask_path), printable(error))
        return None
    if numbers.shape != (record.height, record.width):
        return None
    things = [number for number in np.unique(numbers) if number not in (0, 255)]  # ground, and VOC's unclear edges
    framed = [around(numbers == number)[0] for number in things]
    mask = np.zeros(numbers.shape, bool)
    for box in record.boxes[wanted]:
        overlaps = box_iou(framed, box)[:, 0] if framed else np.zeros(1)
        if overlaps.max() < 0.5:
            return None
        mask |= numbers == things[int(overlaps.argmax())]
    places = ((np.arange(size) + 0.5) / scale).astype(int)
    rows, columns = places[places < record.height], places[places < record.width]
    boxed = np.zeros([size, size], bool)
    boxed[: len(rows), : len(columns)] = mask[np.ix_(rows, columns)]
    return boxed
