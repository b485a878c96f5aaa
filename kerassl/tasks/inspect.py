"""Summary of a data set."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import typing
from collections.abc import Sequence

from kerassl import datasets
from kerassl._errors import UserError
from kerassl._io import files
from kerassl.config.config import read_config
from kerassl.datasets import DetectionDataset
from kerassl.datasets.card import ImageCard, LabelCard, image_card, label_card
from kerassl.datasets.class_names import read_class_names
from kerassl.datasets.formats.voc import check_in_voc, voc_folder
from kerassl.datasets.images.shard_index import is_shards, open_index
from kerassl.report.data_card import card_text, draw_card
from kerassl.runs import outputs
from kerassl.runs.running import verbosity


@dataclasses.dataclass(frozen=True)
class Inspection:
    """Result of `inspect`; its `str` is the card as text.

    Attributes:
        images: `datasets.card.ImageCard`.
        labels: `datasets.card.LabelCard`, or None where there are none.
    """

    images: ImageCard
    labels: LabelCard | None

    def __str__(self) -> str:
        return card_text(self.images, self.labels)


def inspect(
    paths: Sequence[str] = (),
    *,
    config: str | os.PathLike | None = None,
    voc: str | None = None,
    year: int | None = None,
    split: str | None = None,
    classes: Sequence[str] | None = None,
    coco: str | None = None,
    yolo: bool = False,
    decode: bool = False,
    out: str | os.PathLike | None = None,
) -> Inspection:
    """Describe a data set: sizes, classes, boxes, broken files.

    Args:
        paths: Sequence of images or folders of them, or of one VOCdevkit or folder of shards; with `coco` or `yolo` the
            one folder of the labeled images. Empty is what `data` of the configuration names.
        config: Str or path of a YAML file.
        voc, year, split, classes: The labels of a VOCdevkit, see `DetectionDataset.from_voc`.
        coco: Str or path of a COCO json.
        yolo: Bool. Whether the images have YOLO's label files.
        decode: Bool. Whether each image is decoded, which finds files that are cut off.
        out: Str or path of a `.png` file to draw the card into, or None.

    Returns:
        `Inspection`.

    Raises:
        UserError: if nothing is named or found, or the file cannot be written.
    """
    outputs.check_file(out, (".png",), "an image")
    if out is not None:
        files.check_outside(out, [*paths, voc])
    data = read_config(config).data
    if not paths and voc is None:
        paths, voc = data.unlabeled, data.voc.root if data.voc else None
    found = find(paths, voc, coco, year, split, classes, yolo, allow_broken=True)
    images = image_card(found.paths, decode, progress=verbosity() != 2)
    labels = None if found.records is None else label_card(found.records, found.classes)
    if out is not None:
        if not len(images.heights):
            raise UserError(f"none of {images.count} images can be opened; there is nothing to draw")
        draw_card(images, labels, out, found.title, overwrite=True)
    return Inspection(images, labels)


class Found(typing.NamedTuple):
    """Images and labels that are named.

    Attributes:
        title: str.
        paths: list of str, image files, or images in shards.
        records: `DetectionDataset`, or None where there are no labels.
        classes: tuple of str.
    """

    title: str
    paths: list
    records: DetectionDataset | None
    classes: Sequence[str]


def find(
    paths: Sequence[str],
    voc: str | None,
    coco: str | None,
    year: int | None,
    split: str | None,
    classes: Sequence[str] | None,
    yolo: bool = False,
    allow_broken: bool = False,
) -> Found:
    """Find images, and labels if there are any.

    Args:
        paths: list of str: images or folders of them, or one folder in VOC's form or of shards; with `coco` the folder
            of its images.
        voc: str or None, a folder in VOC's form.
        coco: str or None, a COCO json.
        year, split: see `DetectionDataset.from_voc`.
        classes: list of str, names or a file of them, or None for all that are named.
        yolo: bool. Whether the one path is a folder of images with YOLO's label files.
        allow_broken: bool. Go on where more than a tenth of the labels cannot be read.

    Returns:
        `Found`.

    Raises:
        UserError: if nothing is named or found, or both paths and `voc` are given.
    """
    if coco is not None:
        return _coco(paths, voc, coco, year, split, classes, allow_broken)
    if yolo:
        return _yolo(paths, voc, year, split, classes, allow_broken)
    if voc is not None and paths:
        raise UserError(f"both {paths[0]} and --voc {voc} are named; give one of them")
    if voc is None and not paths:
        raise UserError("nothing is named to inspect; give a folder of images, or --voc a VOCdevkit")
    if voc is None and len(paths) == 1 and is_shards(paths[0]):
        return _shards(pathlib.Path(paths[0]), year, split, classes)
    if voc is None and (len(paths) > 1 or not _is_voc(pathlib.Path(paths[0]))):
        if year is not None or split is not None or classes is not None:
            raise UserError(f"{paths[0]} is no VOCdevkit; --year, --split and --classes are for those")
        title = pathlib.Path(paths[0]).name + (f" and {len(paths) - 1} more" if len(paths) > 1 else "")
        return Found(title, datasets.image_files(paths), None, ())
    folder = voc_folder(voc if voc is not None else paths[0], year)
    if classes is not None:
        classes = read_class_names(classes)
        check_in_voc(classes, folder)
    read = DetectionDataset.from_voc(folder, None, split, class_names=classes, allow_broken=allow_broken)
    # Of a split only what can be opened is known here; the reader has reported the rest.
    paths = datasets.image_files(folder / "JPEGImages") if split is None else [record.path for record in read]
    name = os.path.basename(os.path.abspath(folder))
    return Found(f"{name}{'' if split is None else ' ' + split}", paths, read, read.class_names)


def _coco(paths, voc, coco, year, split, classes, allow_broken):
    if len(paths) != 1 or voc is not None or year is not None or split is not None:
        raise UserError(f"with --coco {coco} give the one folder of its images, and no --voc, --year or --split")
    read = DetectionDataset.from_coco(coco, paths[0], class_names=classes, allow_broken=allow_broken)
    return Found(pathlib.Path(coco).stem, [record.path for record in read], read, read.class_names)


def _yolo(paths, voc, year, split, classes, allow_broken):
    if len(paths) != 1 or voc is not None or year is not None or split is not None:
        raise UserError("with --yolo give the one folder of the images, and no --voc, --year or --split")
    folder = pathlib.Path(paths[0])
    read = DetectionDataset.from_yolo(folder, class_names=classes, allow_broken=allow_broken)
    return Found(folder.name, datasets.image_files(folder), read, read.class_names)


def _shards(folder, year, split, classes):
    if year is not None or split is not None or classes is not None:
        raise UserError(f"{folder} holds shards, which name their classes; leave --year, --split and --classes out")
    index = open_index(folder)
    if index.classes is None:
        return Found(folder.name, index.names(folder), None, ())
    read = DetectionDataset.from_shards(folder)
    return Found(folder.name, index.names(folder), read, read.class_names)


def _is_voc(path):
    return os.path.isdir(path / "Annotations") or any(path.glob("VOC*/Annotations"))
