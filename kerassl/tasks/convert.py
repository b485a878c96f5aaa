"""Labeled images in another format."""

from __future__ import annotations

import logging
import os
import pathlib
from collections.abc import Sequence

from kerassl import datasets
from kerassl._display import verbosity
from kerassl._errors import UserError
from kerassl._io import files, outputs
from kerassl.config.sources import open_labels

log = logging.getLogger("kerassl")

FORMATS = ("voc", "coco", "yolo", "csv", "shards")
_SPLITS = {"train": ("train", "trainval"), "val": ("val", "validation", "valid"), "test": ("test",)}


def convert(
    data: str | os.PathLike,
    out: str | os.PathLike,
    *,
    format: str,
    data_images: str | os.PathLike | None = None,
    split: str | None = None,
    classes: Sequence[str] | None = None,
    allow_broken_labels: bool | None = None,
    copy: bool = False,
) -> datasets.WrittenDataset:
    """Write labeled images of any format in another one.

    The splits `train`, `val` and `test` of the data are kept, each image without a split is counted in the log.

    Args:
        data: Str or path of labels of any format, as `DetectionDataset.open` takes it.
        out: Str or path of a new folder, outside of the data.
        format: Str, one of `"voc"`, `"coco"`, `"yolo"`, `"csv"` and `"shards"`; see `datasets.write_voc` and so on for
            what each can hold.
        data_images: Str or path of the folder of the images that the labels name, or None to find it beside them.
        split: Str, the split to write, or None for all.
        classes: Class names to write, in this order, or a file of them; None takes those of the data.
        allow_broken_labels: Bool. Continue where more than a tenth of the labels cannot be read.
        copy: Bool. Copy the images. False makes hard links where the file system can. Shards always hold copies.

    Returns:
        `datasets.WrittenDataset`.

    Raises:
        UserError: if the labels cannot be read, or the folder exists, is in the data or cannot be written.

    Example:
        >>> kerassl.convert("VOCdevkit/VOC2007", "coco", format="coco").paths
        (PosixPath('coco/train.json'), PosixPath('coco/val.json'), PosixPath('coco/test.json'))
    """
    if format not in FORMATS:
        raise UserError(f"format is {format!r}; give one of {', '.join(FORMATS)}")
    outputs.check_folder(out, new=format != "shards")
    files.check_outside(out, [data, data_images])
    if pathlib.Path(os.path.realpath(out)) in pathlib.Path(os.path.realpath(data)).parents:
        raise UserError(f"{data} is in the output {out}; choose a folder outside of it")

    def read(split):
        return open_labels(data, data_images, split, classes, allow_broken_labels)

    own = {} if split is not None else _own_splits(data, data_images)
    labeled = {name: read(each) for name, each in own.items()} or read(split)
    if own:
        _report_left(read(None), labeled)
    if format == "shards":
        return _write_shards(labeled, pathlib.Path(out))
    write = getattr(datasets, f"write_{format}")
    return write(labeled, out, copy=copy, progress=verbosity() != 2)


def _own_splits(data, images):
    """Dict from `train`, `val` and `test` to what the data call that split."""
    there = datasets.own_splits(data, images)
    found = {name: next((each for each in calls if each in there), None) for name, calls in _SPLITS.items()}
    return {name: each for name, each in found.items() if each is not None}


def _report_left(every, splits):
    held = {record.path for labeled in splits.values() for record in labeled}
    left = [record.path for record in every if record.path not in held]
    if left:
        log.warning("%d labeled images left out that are in none of the splits %s: %s",
                    len(left), ", ".join(splits), ", ".join(left[:3]))  # fmt: skip


def _write_shards(labeled, out):
    parts = {out / name: each for name, each in labeled.items()} if isinstance(labeled, dict) else {out: labeled}
    done = [datasets.write_shards(each, path, progress=verbosity() != 2) for path, each in parts.items()]
    objects = sum(len(record.boxes) for each in parts.values() for record in each)
    return datasets.WrittenDataset(sum(each.images for each in done), objects, tuple(parts), {})
