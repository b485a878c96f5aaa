"""Generated scenes in a folder."""

from __future__ import annotations

import os

from kerassl import datasets
from kerassl._io import outputs
from kerassl.config import schema
from kerassl.config.config import as_flags, read_config


def scenes(
    out: str | os.PathLike,
    *,
    config: str | os.PathLike | None = None,
    train: int | None = None,
    val: int | None = None,
    unlabeled: int | None = None,
    single_object: bool | None = None,
    seed: int | None = None,
) -> schema.Scenes:
    """Generate a VOCdevkit of toy scenes with exact boxes and masks.

    Args:
        out: Str or path of the folder to write.
        config: Str or path of a YAML file, whose section `data.scenes` has what is not given here.
        train, val, unlabeled: Int. The number of images with labels to train on and to score on, and without labels.
        single_object: Bool. Whether each image has one object.
        seed: Int.

    Returns:
        The section `Scenes` that was used.

    Raises:
        UserError: if the folder holds something else or cannot be written.
    """
    asked = {"train": train, "val": val, "unlabeled": unlabeled, "single_object": single_object}
    settings: dict = {"data.scenes": {}} if config is None else {}
    settings |= {f"data.scenes.{name}": value for name, value in asked.items()}
    read = read_config(config, as_flags({**settings, "seed": seed}))
    outputs.check_folder(out, new=False)
    plan = read.data.scenes or schema.Scenes()
    datasets.write_scenes(out, **plan.model_dump(), seed=read.seed)
    return plan
