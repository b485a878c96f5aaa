"""Common to writers of all formats: splits, names of the images, and a folder that appears whole or not at all."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import decimal
import io
import logging
import os
import pathlib
import re
import shutil
import typing
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import PIL.Image
from tqdm import tqdm

from kerassl._display import printable
from kerassl._errors import UserError
from kerassl._io import files
from kerassl._io.file_names import file_name
from kerassl.datasets.images.decoding import FORMATS
from kerassl.datasets.images.faults import is_cut
from kerassl.datasets.images.files import SUFFIXES, source_file, without_suffix
from kerassl.datasets.images.image_bytes import image_bytes
from kerassl.datasets.images.reading import read_header, read_image
from kerassl.datasets.images.shard_index import shard_place
from kerassl.datasets.record import Record

if typing.TYPE_CHECKING:
    from kerassl.datasets.dataset import DetectionDataset

log = logging.getLogger("kerassl")

_SUFFIXES = dict(zip(FORMATS, (".jpg", ".png", ".bmp", ".gif", ".webp")))


@dataclasses.dataclass(frozen=True)
class WrittenDataset:
    """A data set that was written.

    Attributes:
        images: int, in all splits.
        objects: int, their boxes.
        paths: tuple of `pathlib.Path`, what to open: a file or a folder for each split, or one for all.
        left_out: dict from a reason to the number of boxes that were left out for it, because the format has no place
            for them.
    """

    images: int
    objects: int
    paths: tuple[pathlib.Path, ...]
    left_out: Mapping[str, int]


class ImageFiles:
    """Image files that are placed in a folder of the output.

    Args:
        paths: sequence of str, files or images in shards.
        copy: bool. Copy files; otherwise they are hard links where the file system can.

    Attributes:
        cut: list of str, the files that were placed though their end is missing.
    """

    def __init__(self, paths: Sequence[str], copy: bool = False) -> None:
        packed = [path for path in paths if shard_place(path)]
        self._packed = {path: place for place, path in enumerate(packed)}
        self._read = image_bytes(packed) if packed else None
        self._copy = copy
        self.cut: list[str] = []

    def place(self, path: str, folder: pathlib.Path, stem: str) -> str:
        """Link, copy or unpack an image.

        Args:
            path: str, one of the paths.
            folder: `pathlib.Path`, created if need be.
            stem: str, the name without its suffix, or a path in the folder.

        Returns:
            Str, the name of the file in the folder.

        Raises:
            UserError: if the file cannot be copied.
        """
        (folder / stem).parent.mkdir(parents=True, exist_ok=True)
        try:
            return self._place(path, folder, stem)
        except OSError as error:
            raise UserError(
                f"{path} cannot be copied ({error.strerror}); fix the file or make room, and start again"
            ) from error

    def _place(self, path, folder, stem):
        if path in self._packed:
            contents = self._read(os.fsencode(path), self._packed[path]).numpy()
            name = stem + _suffix(read_header(io.BytesIO(contents)))
            (folder / name).write_bytes(contents)
            return name
        suffix = os.path.splitext(path)[1]
        if suffix.lower() not in SUFFIXES:
            suffix = _suffix(read_header(path))
        if suffix == ".gif":  # readers of folders pass over it
            PIL.Image.fromarray(read_image(path)).save(folder / f"{stem}.png")
            return f"{stem}.png"
        if is_cut(path):
            self.cut.append(path)
        _link(path, folder / (stem + suffix), self._copy)
        return stem + suffix


class Output:
    """The folder of a data set while it is written; see `writing`.

    Attributes:
        folder: `pathlib.Path`, temporary.
        class_names: tuple of str.
        splits: dict from split (or None where there are none) to a list of pairs of `Record` and the stem that its
            files are to have. Stems differ, also in their case; an image that several splits have is one file.
        names: list of str, the files of annotations, relative to the folder.
    """

    def __init__(self, folder, splits, copy, progress):
        self.folder, self._copy = folder, copy
        self.class_names = next(iter(splits.values())).class_names
        stems = _stems(splits)
        self.splits = {
            split: [(record, stems[key]) for key, record in zip(_keys(labeled), labeled)]
            for split, labeled in splits.items()
        }
        self.names: list[str] = []
        self.counts: collections.Counter = collections.Counter()
        self.left_out: collections.Counter = collections.Counter()
        self._images = ImageFiles([record.path for labeled in splits.values() for record in labeled], copy)
        self._bar = tqdm(
            total=sum(map(len, splits.values())), desc="write", unit="image", disable=None if progress else True
        )
        self._placed: dict = {}

    def image(self, record: Record, folder: str, stem: str) -> str:
        """Link, copy or unpack the image of a record, and count the record.

        Args:
            record: `Record`.
            folder: str, relative to the output.
            stem: str.

        Returns:
            Str, the name of the file in the folder.
        """
        self.counts.update(images=1)
        self._bar.update()
        if (folder, stem) not in self._placed:
            self._placed[folder, stem] = self._images.place(record.path, self.folder / folder, stem)
        return self._placed[folder, stem]

    def mask(self, record: Record, stem: str) -> None:
        """Link or copy the mask of a record, if it has one, as VOC does."""
        if record.mask_path is not None:
            (self.folder / "SegmentationObject").mkdir(exist_ok=True)
            _link(record.mask_path, self.folder / "SegmentationObject" / f"{stem}.png", self._copy)

    def annotations(self, split: str | None, suffix: str) -> typing.TextIO:
        """Open the file of a split, `train.csv`, or `annotations.csv` where there are no splits."""
        self.names.append(f"{split or 'annotations'}{suffix}")
        return (self.folder / self.names[-1]).open("w", encoding="utf-8", newline="")

    def text(self, path: str, text: str) -> None:
        """Write a file.

        Args:
            path: str, relative to the output.
            text: str.
        """
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_text(text, encoding="utf-8", newline="\n")

    def kept(self, record: Record, *, crowd: bool, difficult: bool = False, weights: bool = False) -> np.ndarray:
        """Select the boxes of a record that a format can hold, and count them.

        Args:
            record: `Record`.
            crowd: bool. Whether the format can mark crowd regions; otherwise they are left out, as they would become
                objects.
            difficult: bool. Whether it can mark difficult objects; otherwise they become ordinary ones.
            weights: bool. Whether it can hold weights; otherwise ignored regions are left out and boxes are plain.

        Returns:
            `[k]` int array, indices of boxes.
        """
        places = np.arange(len(record.boxes)) if crowd else np.flatnonzero(~np.asarray(record.crowd, bool))
        self.leave_out("crowd regions left out", len(record.boxes) - len(places))
        if record.weights is not None and not weights:
            ignored = record.weights.ignore[places]
            self.leave_out("ignored regions left out", int(ignored.sum()))
            places = places[~ignored]
            self.counts.update(weighted=len(places))
        if not difficult:
            self.counts.update(difficult=int(np.sum(np.asarray(record.difficult, bool)[places])))
        self.counts.update(objects=len(places))
        return places

    def leave_out(self, reason: str, count: int) -> None:
        """Count boxes that are left out."""
        if count:
            self.left_out[reason] += count

    def close(self):
        self._bar.close()

    def report(self):
        """Write one line to the log for each kind of loss, and of damage."""
        if self._images.cut:
            log.warning("%d images are cut off and written as they are, first %s",
                        len(self._images.cut), printable(self._images.cut[0]))  # fmt: skip
        for reason, count in self.left_out.items():
            log.warning("%d %s: the format has no place for them", count, reason)
        if self.counts["weighted"]:
            log.warning("%d boxes written without their weights: only a COCO json keeps them", self.counts["weighted"])
        if self.counts["difficult"]:
            log.warning("%d difficult objects written as ordinary ones: the format has no such flag",
                        self.counts["difficult"])  # fmt: skip


@contextlib.contextmanager
def writing(
    labeled: DetectionDataset | Mapping[str, DetectionDataset], out: str | os.PathLike, copy: bool, progress: bool
) -> Iterator[Output]:
    """Write a data set into a new folder, which is there when the block ends without an exception.

    Args:
        labeled, out, copy, progress: as of the writers.

    Yields:
        `Output`.

    Raises:
        UserError: see `write_voc`.
    """
    splits = dict(labeled) if isinstance(labeled, Mapping) else {None: labeled}
    _check(splits)
    parents = dict.fromkeys(
        os.path.dirname((shard_place(record.path) or (record.path,))[0]) for each in splits.values() for record in each
    )
    files.check_outside(out, [parent or "." for parent in parents])
    with files.whole_folder(out) as folder:
        output = Output(folder, splits, copy, progress)
        try:
            yield output
        finally:
            output.close()
    output.report()


def written(output: Output, out: str | os.PathLike, names: typing.Iterable[str]) -> WrittenDataset:
    """Return what was written; `names` are relative to the folder."""
    paths = tuple(pathlib.Path(out, name) for name in names)
    return WrittenDataset(output.counts["images"], output.counts["objects"], paths, dict(output.left_out))


def _check(splits):
    if not splits or not all(map(len, splits.values())):
        empty = next((split for split, each in splits.items() if not len(each)), None)
        where = "" if empty is None else f" of the split {empty!r}"
        raise UserError(f"there are no images{where} to write; give labeled images")
    odd = [split for split in splits if split is not None and not re.fullmatch(r"[A-Za-z0-9][\w-]{0,99}", str(split))]
    if odd:
        raise UserError(f"{odd[0]!r} cannot be the name of a split; give letters and digits, as train")
    known = {each.class_names for each in splits.values()}
    if len(known) > 1:
        first, second = list(known)[:2]
        raise UserError(
            f"the splits have other classes, {list(first)[:10]} and {list(second)[:10]}; read them with one list of "
            "class names"
        )


def _keys(labeled):
    """Return the identity of the image files of a split: the path, and which one of several records of it."""
    seen: collections.Counter = collections.Counter()
    for record in labeled:
        yield record.path, seen[record.path]
        seen[record.path] += 1


def _stems(splits):
    """A stem for each image: its own, where no other image has it."""
    wanted = {}
    for labeled in splits.values():
        for key, record in zip(_keys(labeled), labeled):
            wanted.setdefault(key, _stem(record))
    stems, taken, left = {}, set(), []
    for key, stem in wanted.items():
        if stem.casefold() in taken:
            left.append(key)
        else:
            stems[key] = stem
            taken.add(stem.casefold())
    numbers: collections.Counter = collections.Counter()
    for key in left:
        stem = wanted[key]
        while (name := f"{stem}_{numbers[stem.casefold()] + 2}").casefold() in taken:
            numbers[stem.casefold()] += 1
        stems[key] = name
        taken.add(name.casefold())
    return {key: stems[key] for key in wanted}


def _stem(record):
    """The stem of an image's own name, in characters that every file system and format takes."""
    name = source_file(record)
    stem = without_suffix(re.split(r"[/\\]", name)[-1] or name)
    plain = stem.isprintable() and not set(stem) & set('\\/:*?"<>|') and len(os.fsencode(stem)) <= 200
    return stem if plain and stem and stem[0] not in " ." and stem[-1] not in " ." else file_name(stem)


def _suffix(header):
    return ".jpg" if header is None else _SUFFIXES[header.kind.split()[0]]


def _link(path, to, copy):
    source = os.path.realpath(path)  # a link to a link is one on some systems
    if not copy:
        with contextlib.suppress(OSError):  # another disk, or a file system without links
            os.link(source, to)
            return
    shutil.copyfile(source, to)


def shortest(values: np.ndarray) -> list[decimal.Decimal]:
    """Return float32 numbers as the shortest decimals that are read as the same numbers.

    Args:
        values: array.
    """
    return [decimal.Decimal(str(value)) for value in np.asarray(values, np.float32).ravel()]


def number_text(value: decimal.Decimal) -> str:
    """Return a decimal without an exponent, and without zeros at the end."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
