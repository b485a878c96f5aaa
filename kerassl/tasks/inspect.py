"""Summary of a data set."""

from __future__ import annotations

import dataclasses
import logging
import os
import pathlib
from collections.abc import Sequence

from kerassl import datasets
from kerassl._display import printable
from kerassl._errors import UserError
from kerassl._io import files
from kerassl.config.config import read_config
from kerassl.datasets.card import ImageCard, LabelCard, image_card, label_card
from kerassl.datasets.images.shard_index import is_shards, open_index
from kerassl.report.data_card import card_text, draw_card
from kerassl.runs import outputs
from kerassl.runs.running import verbosity
from kerassl.runs.sources import labels_title, open_labels

log = logging.getLogger("kerassl")


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
    data: datasets.DetectionDataset | str | os.PathLike | None = None,
    data_images: str | os.PathLike | None = None,
    split: str | None = None,
    classes: Sequence[str] | None = None,
    decode: bool = False,
    out: str | os.PathLike | None = None,
) -> Inspection:
    """Describe a data set: sizes, classes, boxes, broken files.

    Args:
        paths: Sequence of images or folders of them, which have no labels; or of one path of labels, in place of
            `data`. Empty is what `data.train`, or else `data.unlabeled`, of the configuration names.
        config: Str or path of a YAML file.
        data, data_images, split, classes: The labels of any format, see `DetectionDataset.open`. Those that cannot be
            read are reported in the log.
        decode: Bool. Whether each image is decoded, which finds files that are cut off.
        out: Str or path of a `.png` file to draw the card into, or None.

    Returns:
        `Inspection`.

    Raises:
        UserError: if nothing is named or found, or the file cannot be written.
    """
    outputs.check_file(out, (".png",), "an image")
    if out is not None:
        files.check_outside(out, [*paths, data, data_images])
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
        labels, images = None, _without_labels(paths)
    elif data is None and read.data.train is None:
        raise UserError("nothing is named to inspect; give a folder of images, or --data labels")
    else:
        title = labels_title(data, split, config=read, part="train")
        found = open_labels(data, data_images, split, classes, True, config=read, part="train")
        labels, images = label_card(found, found.class_names), _images_of(found, data, split)
    card = image_card(images, decode, progress=verbosity() != 2)
    if out is not None:
        if not len(card.heights):
            raise UserError(f"none of {card.count} images can be opened; there is nothing to draw")
        draw_card(card, labels, out, title, overwrite=True)
    return Inspection(card, labels)


def _is_labeled(path):
    if is_shards(path):
        return open_index(path).classes is not None
    try:
        datasets.own_splits(path)
    except UserError:
        return False
    return True


def _without_labels(paths):
    log.info("%s is read as images without labels", printable(str(paths[0])))
    if len(paths) == 1 and is_shards(paths[0]):
        return open_index(paths[0]).names(pathlib.Path(paths[0]))
    return datasets.image_files(paths)


def _images_of(labels, data, split):
    """Paths of the images; of a folder without splits also of those that the labels leave out, which may be broken."""
    if isinstance(data, (str, os.PathLike)) and split is None and os.path.isdir(data):
        if is_shards(data):
            return open_index(data).names(pathlib.Path(data))
        return datasets.image_files(sorted({os.path.dirname(record.path) for record in labels}))
    return [record.path for record in labels]
