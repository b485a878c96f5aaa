"""Duplicates among images: equal files, and near-duplicates by a perceptual hash that thumbnails confirm."""

from __future__ import annotations

import collections
import concurrent.futures
import dataclasses
import hashlib
import io
import logging
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import PIL.Image
from tqdm import tqdm

from kerassl._display import printable
from kerassl._lazy import tf
from kerassl.datasets.images.decoding import FORMATS, MAX_PIXELS, TURNS, on_white
from kerassl.datasets.images.faults import never_read
from kerassl.datasets.images.image_bytes import image_bytes
from kerassl.datasets.images.orientation import exif_orientation
from kerassl.datasets.images.shard_index import shard_place
from kerassl.datasets.record import Record

log = logging.getLogger("kerassl")

SIDE = 16  # of thumbnails
_DECODED = 64  # at least so many pixels a side are decoded for them
# The eight lowest cosines of a row (DCT-II, orthonormal); those of rows and columns are the 64 bits of a hash.
_COSINES = np.cos(np.pi / SIDE * np.outer(np.arange(8), np.arange(SIDE) + 0.5)) * np.sqrt(2 / SIDE)
_COSINES[0] /= np.sqrt(2)
# docs/results/duplicates.md: copies differ by 4 bits at most, and one of a million other pairs by 10 or less.
MOST_BITS = 10
# The largest difference of two thumbnails of one image, in 255ths, and as a share of their contrast.
_NOISE, _SHARE = 4, 0.1
_FAINT = 2.0  # a cosine that changes no pixel by a quarter of a 255th is the encoder's noise
_ROWS, _COLUMNS, _TRIED = 256, 2**16, 64  # bound the memory of the search


@dataclasses.dataclass(frozen=True)
class Duplicate:
    """An image that is a copy of another.

    Attributes:
        path, split: the image.
        original, original_split: the image that it is a copy of, in an earlier split, or earlier in its own.
        kind: `"exact"` where the files are equal, else `"near"`.
        difference: largest difference of their thumbnails, in 255ths.
        turned: whether it is mirrored or rotated.
    """

    path: str
    split: str
    original: str
    original_split: str
    kind: Literal["exact", "near"]
    difference: int = 0
    turned: bool = False


@dataclasses.dataclass(frozen=True)
class Duplicates:
    """The copies among images.

    Attributes:
        images: number of images of each split.
        found: an entry for each image and each split that holds one like it.
        unread: number of images that cannot be decoded, of which only equal files are found.
    """

    images: Mapping[str, int]
    found: tuple[Duplicate, ...]
    unread: int = 0

    def between(self, original_split: str, split: str) -> tuple[Duplicate, ...]:
        """Return the images of a split that are copies of images of an earlier split, or of the same."""
        return tuple(each for each in self.found if (each.original_split, each.split) == (original_split, split))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return dataclasses.asdict(self)


def find_duplicates(
    images: Mapping[str, Sequence[str]] | Sequence[str],
    *,
    within: bool = True,
    near: bool = True,
    workers: int = 8,
    progress: bool = True,
) -> Duplicates:
    """Find images that are copies of others, within and across splits.

    Found are equal files, and images that were resized (also to another aspect ratio), re-encoded, mirrored, or rotated
    by quarter turns, as where a program dropped the EXIF orientation. Crops are not found, nor other brightness or
    colors.

    Args:
        images: dict from split to paths, or paths alone, which are the split `"images"`. Images may be in shards.
        within: also find copies within a split.
        near: also find near-duplicates, for which each image is decoded at a small scale: half a millisecond
            for one of 500x375 pixels, 25 for one of 4000x3000. False finds equal files alone.
        workers: number of images to decode in parallel.
        progress: show a progress bar.

    Returns:
        `Duplicates`.

    Example:
        >>> found = kerassl.datasets.find_duplicates({"train": train_paths, "test": test_paths})
        >>> leaked = {each.path for each in found.between("train", "test")}
    """
    splits = images if isinstance(images, Mapping) else {"images": images}
    paths = [str(path) for each in splits.values() for path in each]
    ends = np.cumsum([len(each) for each in splits.values()])
    places = {split: np.arange(end - len(each), end) for (split, each), end in zip(splits.items(), ends)}
    read = _reader(paths)
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        contents = _contents(paths, read, pool)
        small = pool.map(lambda place: _thumbnail(read, place), range(len(paths) if near else 0))
        bar = tqdm(small, "duplicates", len(paths), unit="image", delay=1, disable=not (near and progress))
        read_ones = {place: one for place, one in enumerate(bar) if one is not None}
    thumbnails = np.array(list(read_ones.values()), np.uint8).reshape(-1, SIDE, SIDE, 3)
    rows = np.full(len(paths), -1)
    rows[list(read_ones)] = np.arange(len(read_ones))
    found = []
    for number, split in enumerate(splits):
        for earlier in list(splits)[: number + within]:
            copies = {
                place: (original, 0, False) for place, original in _equal(contents, places[earlier], places[split])
            }
            first, second = (own[rows[own] >= 0] for own in (places[earlier], places[split]))
            for place, original, *rest in nearest(thumbnails[rows[first]], thumbnails[rows[second]], earlier == split):
                copies.setdefault(second[place], (first[original], *rest))
            found += [
                Duplicate(
                    path=paths[place],
                    split=split,
                    original=paths[original],
                    original_split=earlier,
                    kind="exact" if contents[place] == contents[original] else "near",
                    difference=difference,
                    turned=turned,
                )
                for place, (original, difference, turned) in sorted(copies.items())
            ]
    counts = {split: len(each) for split, each in splits.items()}
    return Duplicates(counts, tuple(found), len(paths) - len(read_ones) if near else 0)


def warn_of_leakage(
    train: Sequence[Record], val: Sequence[Record] = (), test: Sequence[Record] = (), *, progress: bool = True
) -> None:
    """Log one line if splits share images, which makes metrics too high.

    Args:
        train, val, test: records.
        progress: see `find_duplicates`.
    """
    splits = {"training": train, "validation": val, "test": test}
    paths = {name: [record.path for record in records] for name, records in splits.items()}
    found = find_duplicates(paths, within=False, progress=progress)
    if found.found:
        pairs = collections.Counter((each.original_split, each.split) for each in found.found)
        names = dict.fromkeys([found.found[0].path, found.found[0].original])
        log.warning(
            "%s, as %s: metrics are too high; keep each image in one split (kerassl inspect lists the copies)",
            " and ".join(
                f"{count} of {len(splits[split])} {split} images are copies of {earlier} images"
                for (earlier, split), count in pairs.items()
            ),
            " of ".join(map(printable, names)),
        )


def _reader(paths: Sequence[str]) -> Callable[[int], bytes]:
    """Return a function from the place of an image to its bytes, which raises `OSError` where it cannot be read."""
    inside = [shard_place(path) is not None for path in paths]
    from_shards = image_bytes(paths) if any(inside) else None

    def read(place: int) -> bytes:
        path = paths[place]
        if from_shards is None or not inside[place]:
            if never_read(path) is not None:
                raise OSError(f"{path} is no ordinary file")
            return pathlib.Path(path).read_bytes()
        try:
            return from_shards(path, place).numpy()
        except tf.errors.OpError as error:
            raise OSError(str(error)) from None

    return read


def _contents(paths, read, pool):
    """Return a value of each file that is equal where contents are; its own of one that is empty or cannot be read."""
    inside = [shard_place(path) is not None for path in paths]

    def size(place):
        try:
            return -1 if inside[place] else os.path.getsize(paths[place])
        except (OSError, ValueError):
            return 0

    def digest(place):
        try:
            return hashlib.sha256(read(place)).hexdigest()
        except (OSError, ValueError):
            return place

    sizes = list(pool.map(size, range(len(paths))))
    counts = collections.Counter(sizes)
    alike = [place for place, each in enumerate(sizes) if each and (any(inside) or counts[each] > 1)]
    contents = dict(zip(alike, pool.map(digest, alike)))
    return [contents.get(place, place) for place in range(len(paths))]


def _equal(contents, first, second):
    """Yield the places in `second` whose contents are in `first` (before them, if these are the same), and where."""
    known = {}
    for place in first:
        known.setdefault(contents[place], place)
    for place in second:
        if known.get(contents[place], place) != place:
            yield place, known[contents[place]]


def _thumbnail(read, place):
    """Return an image as it is displayed, shrunk to a square: `[SIDE, SIDE, 3]` uint8, or None."""
    try:
        with PIL.Image.open(io.BytesIO(read(place)), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                return None
            orientation = exif_orientation(image.info.get("exif", b""))
            # A JPEG is decoded at an eighth to all of its size. Its sides then need not be whole numbers.
            drafted = image.draft("RGB", (_DECODED, _DECODED))
            if image.mode.startswith("I"):  # 16 bits
                image = PIL.Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
            small = on_white(image).resize((SIDE, SIDE), PIL.Image.Resampling.BILINEAR, box=drafted and drafted[1])
            return np.asarray(small.transpose(TURNS[orientation]) if orientation > 1 else small)
    except Exception:  # Pillow's decoders raise many kinds
        return None


def turnings(images: np.ndarray) -> list[np.ndarray]:
    """Return images `[n, SIDE, SIDE, 3]` as they are, and mirrored and rotated in the seven other ways."""
    both = [images, images.transpose(0, 2, 1, 3)]
    return [each[:, ::down, ::right] for each in both for down in (1, -1) for right in (1, -1)]


def hashes(thumbnails: np.ndarray) -> np.ndarray:
    """Return perceptual hashes: which of the lowest cosines of an image's luminance are above their median.

    Args:
        thumbnails: `[n, SIDE, SIDE, 3]` uint8 array.

    Returns:
        `[n, 64]` float32 array of 1 and -1: of two hashes, the product is 64 less twice the number of other bits.
    """
    luminance = thumbnails @ np.array([0.299, 0.587, 0.114], np.float32)
    cosines = (_COSINES @ luminance @ _COSINES.T).reshape(-1, len(_COSINES) ** 2)
    above = cosines > np.median(cosines, axis=1, keepdims=True) + _FAINT
    return np.where(above, 1, -1).astype(np.float32)


def similar(first: np.ndarray, second: np.ndarray, most: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Find the hashes that differ in a few bits.

    Args:
        first, second: `[n, bits]` and `[m, bits]` float32 arrays of 1 and -1.
        most: largest number of bits.

    Yields:
        Places in `first` and in `second`, ascending by the latter; in blocks of `first`, which bound the memory.
    """
    least = first.shape[1] - 2 * most
    for start in range(0, len(first), _COLUMNS):
        products = second @ first[start : start + _COLUMNS].T
        rows, columns = np.divmod(np.flatnonzero(products >= least), products.shape[1])
        yield columns + start, rows


def nearest(first: np.ndarray, second: np.ndarray, same: bool) -> Iterator[tuple[int, int, int, bool]]:
    """Find near-duplicates.

    Args:
        first, second: `[n, SIDE, SIDE, 3]` and `[m, SIDE, SIDE, 3]` uint8 arrays, thumbnails.
        same: whether these are the same images: one is then compared with those before it.

    Yields:
        Place in `second`, that of the most similar image in `first`, their difference, and whether one is turned.
    """
    known = hashes(first)
    for start in range(0, len(second), _ROWS):
        block = second[start : start + _ROWS]
        found = np.full(len(block), -1)
        difference, turned = np.full(len(block), 256), np.zeros(len(block), bool)
        for number, view in enumerate(turnings(block)):
            for columns, rows in similar(known[: start + len(block)] if same else known, hashes(view), MOST_BITS):
                if same:
                    columns, rows = columns[columns < rows + start], rows[columns < rows + start]
                # Of thousands of candidates, as the frames of a camera that stands still, the first ones will do.
                turn = (np.arange(len(rows)) - np.searchsorted(rows, rows)) // _TRIED
                for now in range(turn.max(initial=-1) + 1):
                    chosen = (turn == now) & (difference[rows] > _NOISE)
                    if not chosen.any():
                        break
                    column, row = columns[chosen], rows[chosen]
                    gap, allowed = _compared(first[column], view[row])
                    for each in np.flatnonzero(gap <= allowed):
                        if gap[each] < difference[row[each]]:
                            found[row[each]], difference[row[each]] = column[each], gap[each]
                            turned[row[each]] = number > 0
        for row in np.flatnonzero(found >= 0):
            yield start + int(row), int(found[row]), int(difference[row]), bool(turned[row])


def _compared(first, second):
    """Return the largest difference of thumbnails, and the largest one that copies may have; both `[n]`."""
    gap = np.abs(first.astype(np.int16) - second).max(axis=(1, 2, 3))
    contrast = np.minimum(*(np.ptp(each, axis=(1, 2)).max(axis=1) for each in (first, second)))
    return gap, _NOISE + _SHARE * contrast
