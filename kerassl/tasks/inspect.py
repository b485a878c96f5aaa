"""Summary of a data set."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import pathlib
from collections.abc import Sequence
from typing import Any

from kerassl import datasets
from kerassl._display import printable, verbosity
from kerassl._errors import UserError
from kerassl._io import files, outputs
from kerassl.config.config import read_config
from kerassl.config.sources import labeled_parts, labels_title, open_labels
from kerassl.datasets.card import ImageCard, LabelCard, image_card, label_card
from kerassl.datasets.class_names import read_class_names
from kerassl.datasets.duplicates import Duplicates, find_duplicates
from kerassl.datasets.formats.findings import collected
from kerassl.datasets.images.shard_index import is_shards, open_index
from kerassl.datasets.recognition import UnknownFormatError
from kerassl.report.data_card import card_text, draw_card

log = logging.getLogger("kerassl")


@dataclasses.dataclass(frozen=True)
class Inspection:
    """Result of `inspect`; its `str` is the card as text.

    Attributes:
        images: `datasets.card.ImageCard`.
        labels: `datasets.card.LabelCard`, or None where there are none.
        duplicates: `datasets.Duplicates`, or None where they were not searched.
    """

    images: ImageCard
    labels: LabelCard | None
    duplicates: Duplicates | None = None

    def __str__(self) -> str:
        return card_text(self.images, self.labels, self.duplicates)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        parts = {"images": self.images, "labels": self.labels, "duplicates": self.duplicates}
        return {name: None if part is None else part.to_dict() for name, part in parts.items()}


def inspect(
    paths: Sequence[str] = (),
    *,
    config: str | os.PathLike | None = None,
    data: datasets.DetectionDataset | str | os.PathLike | None = None,
    data_images: str | os.PathLike | None = None,
    split: str | None = None,
    classes: Sequence[str] | None = None,
    val: datasets.DetectionDataset | str | os.PathLike | None = None,
    test: datasets.DetectionDataset | str | os.PathLike | None = None,
    decode: bool = False,
    duplicates: bool = True,
    out: str | os.PathLike | None = None,
) -> Inspection:
    """Describe a data set: sizes, classes, boxes, broken files, duplicates.

    Args:
        paths: Sequence of images or folders of them, which have no labels; or of one path of labels, in place of
            `data`. Empty is what `data.train`, or else `data.unlabeled`, of the configuration names.
        config: Str or path of a YAML file.
        data, data_images, split, classes: The labels of any format, see `DetectionDataset.open`. Those that cannot be
            read are reported in the log.
        val, test: Other labels, whose images are compared with those of `data`. By default the parts of the
            configuration or the data's own splits are compared; of several `paths` the images of each.
        decode: Bool. Whether each image is decoded, which finds files that are damaged in the middle.
        duplicates: Bool. Whether duplicates are searched, see `datasets.find_duplicates`.
        out: Str or path of a `.png` file to draw the card into, or of a `.json` file to write it to, or None.

    Returns:
        `Inspection`.

    Raises:
        UserError: if nothing is named or found, or the file cannot be written.
    """
    outputs.check_file(out, (".png", ".json"), "an image or JSON")
    if out is not None:
        files.check_outside(out, [*paths, data, data_images, val, test])
    if paths and data is not None:
        raise UserError(f"both {paths[0]} and --data are named; give one of them")
    read = read_config(config)
    options = [each for each in (data_images, split, classes) if each is not None]
    if len(paths) == 1 and (options or _is_labeled(paths[0])):
        data, paths = paths[0], []
    elif paths and options:
        raise UserError("--data-images, --split and --classes are for labels; give --data, or leave them out")
    elif data is None and read.data.train is None:
        paths = paths or read.data.unlabeled
    if paths:
        title = pathlib.Path(paths[0]).name + (f" and {len(paths) - 1} more" if len(paths) > 1 else "")
        labels, splits = None, _without_labels(paths)
        images = [path for each in splits.values() for path in each]
    elif data is None and read.data.train is None:
        raise UserError("nothing is named to inspect; give a folder of images, or --data labels")
    else:
        title = labels_title(data, split, config=read, part="train")
        with collected() as findings:
            found = open_labels(data, data_images, split, classes, True, config=read, part="train")
        labels, images = label_card(found, found.class_names, findings), _images_of(found, data, split)
        if duplicates:
            splits = _splits(images, read, data, data_images, split, classes, {"val": val, "test": test})
    card = image_card(images, decode, progress=verbosity() != 2)
    copies = find_duplicates(splits, progress=verbosity() != 2) if duplicates else None
    inspection = Inspection(card, labels, copies)
    if out is not None and pathlib.Path(out).suffix.lower() == ".json":
        with files.whole(out, overwrite=True) as file:
            file.write_text(json.dumps(inspection.to_dict(), indent=1) + "\n", encoding="utf-8")
    elif out is not None:
        if not len(card.heights):
            raise UserError(f"none of {card.count} images can be opened; there is nothing to draw")
        draw_card(card, labels, out, title, duplicates=copies, overwrite=True)
    return inspection


def _is_labeled(path):
    if is_shards(path):
        return open_index(path).classes is not None
    try:
        datasets.own_splits(path)
    except UnknownFormatError:
        return False
    return True


def _without_labels(paths):
    """Paths of the images in each of the paths, each image once."""
    log.info("%s is read as images without labels", printable(str(paths[0])))
    if len(paths) == 1 and is_shards(paths[0]):
        return {"images": open_index(paths[0]).names(pathlib.Path(paths[0]))}
    left = dict.fromkeys(datasets.image_files(paths))
    parts = {}
    for path in paths:
        own = [each for each in datasets.image_files(path) if left.pop(each, 0) is None]
        parts.setdefault(str(path) if len(paths) > 1 else "images", own)
    return parts


def _splits(images, read, data, data_images, split, classes, given):
    """Paths of the images to compare: of the configuration or the data's own splits, of those given, and of neither."""
    level, parts = log.level, {}
    log.setLevel(logging.ERROR)  # the faults of these labels were reported before
    try:
        if split is None and data is None:
            names = read.data.classes if classes is None else read_class_names(classes)
            settings = read.data.model_copy(update={"classes": names, "allow_broken_labels": True})
            parts = dict(zip(("train", "val", "test"), labeled_parts(settings)))
        elif split is None and not isinstance(data, datasets.DetectionDataset):
            own = [name for name in ("train", "val", "test") if name in datasets.own_splits(data)]
            parts = {name: open_labels(data, data_images, name, classes, True) for name in own}
    finally:
        log.setLevel(level)
    parts |= {name: open_labels(path, None, None, classes, True) for name, path in given.items() if path is not None}
    paths = {name: [record.path for record in part] for name, part in parts.items() if part is not None}
    inside = {path for part in paths.values() for path in part}
    others = [path for path in images if path not in inside]
    return {"others" if "train" in paths else "train" if paths else "images": others, **paths} if others else paths


def _images_of(labels, data, split):
    """Paths of the images; of a folder without splits also of those that the labels leave out, which may be broken."""
    if isinstance(data, (str, os.PathLike)) and split is None and os.path.isdir(data):
        if is_shards(data):
            return open_index(data).names(pathlib.Path(data))
        return datasets.image_files(sorted({os.path.dirname(record.path) for record in labels}))
    return [record.path for record in labels]
