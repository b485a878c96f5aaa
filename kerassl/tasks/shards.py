"""Images, and their labels, in shards."""

from __future__ import annotations

import os
from collections.abc import Sequence

from kerassl import datasets
from kerassl._display import verbosity
from kerassl._errors import UserError
from kerassl._io import outputs
from kerassl.config.config import as_flags, read_config
from kerassl.config.sources import open_labels


def shards(
    images: Sequence[str] | None = None,
    *,
    out: str | os.PathLike,
    config: str | os.PathLike | None = None,
    data: datasets.DetectionDataset | str | os.PathLike | None = None,
    data_images: str | os.PathLike | None = None,
    split: str | None = None,
    classes: Sequence[str] | None = None,
    allow_broken_labels: bool | None = None,
    image_size: int | None = None,
    quality: int = 90,
    per_shard: int = 1000,
    workers: int = 2,
) -> datasets.WrittenShards:
    """Pack images into shards, with their labels where labels are named.

    Args:
        images: Sequence of folders or files without labels. None is `data.unlabeled` of the configuration, where there
            is no `data`.
        out: Str or path of the folder to write; the same call again continues.
        config: Str or path of a YAML file.
        data, data_images, split, classes, allow_broken_labels: The labels of any format, see `DetectionDataset.open`.
        image_size, quality, per_shard, workers: As of `datasets.write_shards`.

    Returns:
        `datasets.WrittenShards`.

    Raises:
        UserError: if nothing is named or found, or the folder cannot be written.
    """
    outputs.check_folder(out, new=False)
    packed: datasets.DetectionDataset | list[str]
    if data is not None:
        if images:
            raise UserError(f"both --images {images[0]} and --data are named; give one of them")
        packed = open_labels(data, data_images, split, classes, allow_broken_labels)
    elif any(each is not None for each in (data_images, split, classes)):
        raise UserError("--data-images, --split and --classes are for labels; give --data, or leave them out")
    else:
        packed = read_config(config, as_flags({"data.unlabeled": images})).data.unlabeled
    if not packed:
        raise UserError("no images are named; give --images a folder, or data.unlabeled in the configuration")
    return datasets.write_shards(
        packed,
        out,
        image_size=image_size,
        quality=quality,
        per_shard=per_shard,
        workers=workers,
        progress=verbosity() != 2,
    )
