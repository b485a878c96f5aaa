"""The figures of a data set's card."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import dataclasses
import io
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from kerassl._errors import UserError
from kerassl._lazy import tf
from kerassl.datasets.class_names import check_numbering
from kerassl.datasets.formats.annotation import box_text
from kerassl.datasets.formats.findings import Findings
from kerassl.datasets.images.faults import fault, is_cut, never_read
from kerassl.datasets.images.image_bytes import image_bytes
from kerassl.datasets.images.reading import Header, decodable, read_header, read_image
from kerassl.datasets.images.shard_index import shard_place
from kerassl.datasets.record import Record

QUANTILES = {"min": 0, "5 %": 5, "25 %": 25, "50 %": 50, "75 %": 75, "95 %": 95, "max": 100}
_TINY = 0.01
_TINY_BOXES = f"boxes with a side under {_TINY:.0%} of the image's longer side"


@dataclasses.dataclass(frozen=True, eq=False)
class ImageCard:
    """The figures of image files.

    Attributes:
        count: number of files, broken ones included.
        bytes: size of all files.
        heights, widths: `[n]` int arrays in pixels, of the files that can be opened.
        formats: number of files by format and mode, as "JPEG RGB".
        rotated: number of files whose EXIF orientation is not upright.
        broken: (path, reason) of each file that readers leave out, as far as they were checked.
    """

    count: int
    bytes: int
    heights: np.ndarray
    widths: np.ndarray
    formats: collections.Counter
    rotated: int
    broken: list[tuple[str, str]]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, with quantiles of the sizes."""
        sizes = {name: quantiles(values) for name, values in (("height", self.heights), ("width", self.widths))}
        broken = [{"path": path, "reason": reason} for path, reason in self.broken]
        counts = {"count": self.count, "bytes": self.bytes, "formats": dict(self.formats), "rotated": self.rotated}
        return {**counts, **sizes, "broken": broken}


@dataclasses.dataclass(frozen=True, eq=False)
class LabelCard:
    """The figures of boxes.

    Attributes:
        classes: names of the classes.
        boxes: `[classes]` int array, boxes of each class.
        images: `[classes]` int array, images with a box of the class.
        difficult: `[classes]` int array, boxes that are marked as difficult.
        per_image: `[records]` int array, boxes of each image.
        sizes: `[boxes]` float array, the root of a box's area over the root of its image's.
        crowds: number of crowd regions, which no other figure counts.
        faults: the places of what readers fixed or left out, and of tiny boxes, by the kind of fault.
    """

    classes: tuple[str, ...]
    boxes: np.ndarray
    images: np.ndarray
    difficult: np.ndarray
    per_image: np.ndarray
    sizes: np.ndarray
    crowds: int = 0
    faults: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, with quantiles of what is counted by image and by box."""
        columns = (self.boxes.tolist(), self.images.tolist(), self.difficult.tolist())
        keys = ("name", "boxes", "images", "difficult")
        return {
            "images": len(self.per_image),
            "empty": int((self.per_image == 0).sum()),
            "boxes": int(self.boxes.sum()),
            "crowds": self.crowds,
            "classes": [dict(zip(keys, each)) for each in zip(self.classes, *columns)],
            "boxes_per_image": quantiles(self.per_image),
            "relative_size": quantiles(self.sizes),
            "faults": {kind: list(places) for kind, places in self.faults.items()},
        }


def quantiles(values: np.ndarray) -> dict[str, float]:
    """Return the quantiles of values that a card has, by name; none of no values."""
    if not len(values):
        return {}
    return dict(zip(QUANTILES, np.percentile(values, list(QUANTILES.values())).tolist()))


def image_card(paths: Sequence[str], decode: bool = False, workers: int = 8, progress: bool = True) -> ImageCard:
    """Read the headers of image files, and look whether their ends are there.

    Args:
        paths: files, or images in shards. The latter are read completely, which finds damaged ones.
        decode: also decode each file as readers do, which finds damage in the middle and takes some milliseconds an
            image. Otherwise only those are decoded whose end is missing.
        workers: number of files to read in parallel.
        progress: show a progress bar.

    Example:
        >>> images = image_card(kerassl.datasets.image_files("photos"))
        >>> print(kerassl.report.data_card.card_text(images))
    """
    read = image_bytes(paths)

    def opened(place):
        """Return an open file and its size."""
        path = paths[place]
        if shard_place(path) is None:
            return pathlib.Path(path).open("rb"), pathlib.Path(path).stat().st_size
        contents = read(path, place).numpy()
        return io.BytesIO(contents), len(contents)

    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        looked = list(
            tqdm(
                pool.map(lambda place: _look(paths[place], lambda: opened(place)), range(len(paths))),
                total=len(paths),
                desc="images",
                unit="image",
                disable=not progress,
            )
        )
        places = range(len(paths)) if decode else [place for place, one in enumerate(pool.map(_is_cut, paths)) if one]
        if places:
            some = decodable([paths[place] for place in places])
            whole = tqdm(some, total=len(places), desc="decode", unit="image", disable=not (progress and decode))
            looked = list(looked)
            for place, good in zip(places, whole):
                looked[place] = looked[place][0], looked[place][1] if good else None
    good = [header for _, header in looked if header is not None]
    return ImageCard(
        count=len(paths),
        bytes=sum(length for length, *_ in looked),
        heights=np.array([header.height for header in good], int),
        widths=np.array([header.width for header in good], int),
        formats=collections.Counter(header.kind for header in good),
        rotated=sum(header.orientation > 1 for header in good),
        broken=[(path, fault(path)) for path, (_, header) in zip(paths, looked) if header is None],
    )


def _look(path, opened):
    """Return the size of a file, and its `Header` or None where readers leave it out."""
    length, header = 0, None
    with contextlib.suppress(OSError, ValueError, tf.errors.OpError):
        if shard_place(path) is not None or never_read(path) is None:
            file, length = opened()
            with file:
                header = read_header(file)
    if header is None:
        # Pillow refuses a few files that TensorFlow decodes.
        with contextlib.suppress(UserError):
            height, width, _ = read_image(path).shape
            header = Header(width, height, 1, "other")
    return length, header


def _is_cut(path):
    if shard_place(path) is not None or never_read(path) is not None:
        return False
    try:
        return is_cut(path)
    except (OSError, ValueError):
        return False  # it was left out for that


def label_card(records: Sequence[Record], classes: Sequence[str], findings: Sequence[Findings] = ()) -> LabelCard:
    """Count the boxes of records by class and by image.

    Args:
        records: records, or a `DetectionDataset`.
        classes: names of the records' classes.
        findings: what their readers fixed or left out, as `findings.collected` collects it.

    Example:
        >>> records = kerassl.datasets.DetectionDataset.from_voc("VOCdevkit", 2007, "trainval")
        >>> labels = label_card(records, kerassl.datasets.VOC_CLASSES)
        >>> rarest = labels.classes[labels.boxes.argmin()]
    """
    check_numbering(records, classes)
    boxes, images, difficult = (np.zeros(len(classes), int) for _ in range(3))
    sizes, faults = [], collections.defaultdict[str, list[str]](list)
    for each in findings:
        for kind, places in (("files left out", each.files), *each.found.items()):
            faults[kind] += places
    for record in records:
        own = record.classes[~record.crowd]
        np.add.at(boxes, own, 1)
        np.add.at(difficult, record.classes[record.difficult & ~record.crowd], 1)
        images[np.unique(own)] += 1
        sides = (record.boxes[:, 2:] - record.boxes[:, :2])[~record.crowd]
        tiny = sides.min(axis=1) < _TINY * max(record.height, record.width)
        faults[_TINY_BOXES] += [f"{record.path}: {box_text(box)}" for box in record.boxes[~record.crowd][tiny]]
        sizes.append(np.sqrt(sides[:, 0] * sides[:, 1] / (record.height * record.width)))
    per_image = np.array([np.sum(~record.crowd) for record in records], int)
    crowds = sum(int(record.crowd.sum()) for record in records)
    relative = np.concatenate([*sizes, np.zeros(0)])
    found = {kind: tuple(places) for kind, places in faults.items() if places}
    return LabelCard(tuple(classes), boxes, images, difficult, per_image, relative, crowds, found)
