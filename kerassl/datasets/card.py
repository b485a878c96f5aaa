"""What a data set holds: the figures of its card."""

import collections
import concurrent.futures
import contextlib
import dataclasses
import hashlib
import io
import pathlib

import numpy as np
from tqdm import tqdm

from kerassl._errors import UserError
from kerassl._lazy import tf
from kerassl.datasets.class_names import check_numbering
from kerassl.datasets.images.faults import fault, never_read
from kerassl.datasets.images.image_bytes import image_bytes
from kerassl.datasets.images.reading import Header, decodable, read_header, read_image
from kerassl.datasets.images.shard_index import shard_place


@dataclasses.dataclass
class ImageCard:
    """Image files.

    Attributes:
        count: int, files, broken ones among them.
        bytes: int, in all files.
        heights, widths: `[n]` int arrays in pixels, of those that can be opened.
        formats: `collections.Counter` of format and mode, as "JPEG RGB".
        turned: int. Files whose EXIF orientation is not upright.
        broken: list of (path, reason), the files that readers leave out, as far as it was looked for.
        doubled: list of lists of paths with the same content.
    """

    count: int
    bytes: int
    heights: np.ndarray
    widths: np.ndarray
    formats: collections.Counter
    turned: int
    broken: list
    doubled: list


@dataclasses.dataclass
class LabelCard:
    """Boxes.

    Attributes:
        classes: tuple of str.
        boxes: `[classes]` int array, boxes of each class.
        images: `[classes]` int array, images with such a box.
        difficult: `[classes]` int array, boxes that are marked as difficult.
        per_image: `[records]` int array, boxes on each image.
        sizes: `[boxes]` float array: the root of a box's area over the root of its image's.
        crowds: int, crowd regions, which none of the others count.
    """

    classes: tuple
    boxes: np.ndarray
    images: np.ndarray
    difficult: np.ndarray
    per_image: np.ndarray
    sizes: np.ndarray
    crowds: int = 0


def image_card(paths, decode=False, workers=8, progress=True):
    """Looks at image files: their headers, and the content of those of equal length.

    Args:
        paths: list of str, of files or of images in shards. The latter are read wholly, so that damaged ones are found.
        decode: bool. Also decode each file as readers do, which finds those that were cut off; takes some ms an image.
        workers: int. Files that are read side by side.
        progress: bool. Show a bar.

    Returns:
        `ImageCard`.

    Example:
        >>> from kerassl.datasets import card
        >>> images = card.image_card(kerassl.datasets.image_files("photos"))
        >>> print(kerassl.report.data_card.card_text(images))
    """
    read = image_bytes(paths)

    def opened(place):
        """What is a file's content, and its length."""
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
        turned=sum(header.orientation > 1 for header in good),
        broken=[(path, fault(path)) for path, (_, header) in zip(paths, looked) if header is None],
        doubled=[same for digest, same in contents.items() if digest and len(same) > 1],
    )


def _look(path, opened):
    """(bytes, `Header` or None where readers leave the file out)."""
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


def label_card(records, classes):
    """Counts boxes.

    Args:
        records: list of `Record`.
        classes: sequence of str, the names of the records' classes.

    Returns:
        `LabelCard`.

    Example:
        >>> records = kerassl.datasets.DetectionDataset.from_voc("VOCdevkit", 2007, "trainval")
        >>> labels = card.label_card(records, kerassl.datasets.VOC_CLASSES)
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
    sizes = np.concatenate([*sizes, np.zeros(0)])
    return LabelCard(tuple(classes), boxes, images, difficult, per_image, sizes, crowds)
