"""Images, and their labels, in shards."""

from __future__ import annotations

import os
from collections.abc import Sequence

from kerassl import datasets
from kerassl._errors import UserError
from kerassl.config.config import read_config
from kerassl.runs import outputs
from kerassl.runs.running import verbosity
from kerassl.tasks.inspect import find


def shards(
    images: Sequence[str] | None = None,
    *,
    out: str | os.PathLike,
    config: str | os.PathLike | None = None,
    voc: str | None = None,
    year: int | None = None,
    split: str | None = None,
    classes: Sequence[str] | None = None,
    coco: str | None = None,
    yolo: bool = False,
    allow_broken_labels: bool | None = None,
    image_size: int | None = None,
    quality: int = 90,
    per_shard: int = 1000,
    workers: int = 2,
) -> datasets.WrittenShards:
    """Pack images into shards, with their labels where labels are named.

    Args:
        images: Sequence of folders or files; with `coco` or `yolo` the one folder of the labeled images. None is
            `data.unlabeled` of the configuration.
        out: Str or path of the folder to write; the same call again continues.
        config: Str or path of a YAML file.
        voc, year, split, classes, allow_broken_labels: The labels of a VOCdevkit, see `DetectionDataset.from_voc`.
        coco: Str or path of a COCO json.
        yolo: Bool. Whether the images have YOLO's label files.
        image_size, quality, per_shard, workers: As of `datasets.write_shards`.

    Returns:
        `datasets.WrittenShards`.

    Raises:
        UserError: if nothing is named or found, or the folder cannot be written.
    """
    outputs.check_folder(out, new=False)
    chosen = (year, split, classes)
    if voc is not None or coco is not None or yolo:
        found = find(images or [], voc, coco, *chosen, yolo, bool(allow_broken_labels))
        images = found.records
    elif any(each is not None for each in chosen):
        raise UserError("--year, --split and --classes are for labels; give --voc, --coco or --yolo, or leave them out")
    else:
        images = read_config(config, {"data.unlabeled": images}).data.unlabeled
    if not images:
        raise UserError("no images are named; give --images a folder, or data.unlabeled in the configuration")
    return datasets.write_shards(
        images,
        out,
        image_size=image_size,
        quality=quality,
        per_shard=per_shard,
        workers=workers,
        progress=verbosity() != 2,
    )
