"""The figures of a data set's card."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import dataclasses
import hashlib
import io
import pathlib
from collections.abc import Sequence

import numpy as np
from tqdm import tqdm

from kerassl._errors import UserError
from kerassl._lazy import tf
from kerassl.datasets.class_names import check_numbering
from kerassl.datasets.images.faults import fault, never_read
from kerassl.datasets.images.image_bytes import image_bytes
from kerassl.datasets.images.reading import Header, decodable, read_header, read_image
from kerassl.datasets.images.shard_index import shard_place
from kerassl.datasets.record import Record


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
        duplicates: lists of paths with the same content.
    """

    count: int
    bytes: int
    heights: np.ndarray
    widths: np.ndarray
    formats: collections.Counter
    rotated: int
    broken: list[tuple[str, str]]
    duplicates: list[list[str]]


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
    """

    classes: tuple[str, ...]
    boxes: np.ndarray
    images: np.ndarray
    difficult: np.ndarray
    per_image: np.ndarray
    sizes: np.ndarray
    crowds: int = 0


def image_card(paths: Sequence[str], decode: bool = False, workers: int = 8, progress: bool = True) -> ImageCard:
    """Read the headers of image files, and the content of those of equal size to find duplicates.

    Args:
        paths: files, or images in shards. The latter are read completely, which finds damaged ones.
        decode: also decode each file as readers do, which finds truncated files and takes some milliseconds an image.
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
        if decode:
            whole = tqdm(decodable(paths), total=len(paths), desc="decode", unit="image", disable=not progress)
            looked = [(length, header if good else None) for (length, header), good in zip(looked, whole)]
        lengths = collections.Counter(length for length, *_ in looked)
        alike = [place for place, (length, *_) in enumerate(looked) if length and lengths[length] > 1]
        contents = collections.defaultdict(list)
        for place, digest in zip(alike, pool.map(lambda place: _digest(lambda: opened(place)), alike)):
            contents[digest].append(paths[place])
    good = [header for _, header in looked if header is not None]
    return ImageCard(
        count=len(paths),
        bytes=sum(length for length, *_ in looked),
        heights=np.array([header.height for header in good], int),
        widths=np.array([header.width for header in good], int),
        formats=collections.Counter(header.kind for header in good),
        rotated=sum(header.orientation > 1 for header in good),
        broken=[(path, fault(path)) for path, (_, header) in zip(paths, looked) if header is None],
        duplicates=[same for digest, same in contents.items() if digest and len(same) > 1],
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


def _digest(opened):
    try:
        with opened()[0] as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, tf.errors.OpError):
        return None


def label_card(records: Sequence[Record], classes: Sequence[str]) -> LabelCard:
    """Count the boxes of records by class and by image.

    Args:
        records: records, or a `DetectionDataset`.
        classes: names of the records' classes.

    Example:
        >>> records = kerassl.datasets.DetectionDataset.from_voc("VOCdevkit", 2007, "trainval")
        >>> labels = label_card(records, kerassl.datasets.VOC_CLASSES)
        >>> rarest = labels.classes[labels.boxes.argmin()]
    """
    check_numbering(records, classes)
    boxes, images, difficult = (np.zeros(len(classes), int) for _ in range(3))
    sizes = []
    for record in records:
        own = record.classes[~record.crowd]
        np.add.at(boxes, own, 1)
        np.add.at(difficult, record.classes[record.difficult & ~record.crowd], 1)
        images[np.unique(own)] += 1
        sides = (record.boxes[:, 2:] - record.boxes[:, :2])[~record.crowd]
        sizes.append(np.sqrt(sides[:, 0] * sides[:, 1] / (record.height * record.width)))
    per_image = np.array([np.sum(~record.crowd) for record in records], int)
    crowds = sum(int(record.crowd.sum()) for record in records)
    relative = np.concatenate([*sizes, np.zeros(0)])
    return LabelCard(tuple(classes), boxes, images, difficult, per_image, relative, crowds)
