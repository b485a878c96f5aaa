"""Sheets of what training sees: views of pre-training, or labeled images of fine-tuning."""

from __future__ import annotations

import logging
import os
import pathlib
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kerassl import augment, datasets
from kerassl._errors import UserError
from kerassl._io import files, outputs
from kerassl._lazy import tf
from kerassl.config.config import as_flags, read_config
from kerassl.config.pretraining import view_settings
from kerassl.config.sources import open_labels, training_batches
from kerassl.resizing import center_crop, check_image_size
from kerassl.types import LEVELS, Detections

log = logging.getLogger("kerassl")

MOST = 200
"""Images on a sheet: few programs open a larger one."""
_PANEL, _GAP, _HEAD = 300, 6, 64  # px, of a sheet of annotated images
_SHOWN = 384  # px; finer than what views are cut from


def views(
    images: Sequence[str] = (),
    *,
    out: str | os.PathLike,
    config: str | os.PathLike | None = None,
    count: int = 6,
    image_size: int | None = None,
    data: datasets.DetectionDataset | str | os.PathLike | None = None,
    data_images: str | os.PathLike | None = None,
    split: str | None = None,
    classes: Sequence[str] | None = None,
    allow_broken_labels: bool | None = None,
    task: str | None = None,
    views: str | None = None,
    level: str = "P5",
    seed: int | None = None,
) -> int:
    """Draw the views that pre-training makes of a few images, or what fine-tuning sees of labeled ones.

    Args:
        images: Sequence of folders or files; empty is `data.unlabeled` of the configuration.
        out: Str or path of the `.png` or `.jpg` file to write.
        config: Str or path of a YAML file.
        count: Int. At most so many images, chosen by the seed.
        image_size: Int, side in pixels.
        data, data_images, split, classes, allow_broken_labels: The labels of any format, see `DetectionDataset.open`;
            None takes those of `data.train` in the configuration.
        task: `"detector"` or `"localizer"`. Whose training images to draw of labeled ones.
        views: `"mild"`, for small networks, or `"strong"`, SimCLR's own; None takes those of the configuration.
        level: `"P3"`, `"P4"` or `"P5"`, whose matched locations are numbered.
        seed: Int.

    Returns:
        Int, the number of images drawn.

    Raises:
        UserError: if no image is named, found or readable, or a size does not fit.
    """
    outputs.check_file(out, (".png", ".jpg"), "an image")
    files.check_outside(out, [*images, data, data_images])
    if data is not None or task is not None:
        if images:
            raise UserError(f"both {images[0]} and labeled images are named; give one of them")
        task = task or "detector"
        read = _training(config, task, as_flags({f"{task}.image_size": image_size, "seed": seed}))
        _check_count(count)
        labels = open_labels(data, data_images, split, classes, allow_broken_labels, config=read, part="train")
        sheet, drawn = training_sheet(labels, read, task, count)
    else:
        settings = {
            "data.unlabeled": list(images) or None,
            "pretrain.image_size": 128 if image_size is None and not config else image_size,
            **view_settings(views),
            "seed": seed,
        }
        sheet, drawn = contact_sheet(read_config(config, as_flags(settings)), count, level)
    with files.whole(out, overwrite=True) as part:
        Image.fromarray(sheet).save(part)
    return drawn


def _training(path, task, settings):
    config = read_config(path, settings)
    if path and getattr(config, task) is not None:
        return config
    # Where no configuration says what is done, the defaults are drawn.
    return read_config(path, {**({task: {}} if path else {f"{task}.augmentation": {}}), **settings})


def contact_sheet(config, count, level):
    """Draw some images, chosen by the seed, and views of them as pre-training cuts them.

    Args:
        config: `Config`; `data.unlabeled`, `pretrain` and `seed` are used.
        count: int. How many images; fewer if there are fewer.
        level: `"P3"`, `"P4"` or `"P5"`, whose matched locations are drawn.

    Returns:
        `[height, width, 3]` uint8 array, and the number of images in it.

    Raises:
        UserError: if no image is named, found or readable, or a size does not fit.
    """
    _check_count(count)
    if not config.data.unlabeled:
        raise UserError("no images are named; give a folder, as in: kerassl views photos/ --out views.png")
    plan, files = config.pretrain, datasets.image_files(config.data.unlabeled)
    load_size = check_image_size(plan.load_size or check_image_size(plan.image_size) + 32)
    views = augment.SimCLRViews(plan.image_size, scale=(plan.smallest_crop, 1.0), strength=plan.strength)
    paths, images = _some(files, count, config.seed)
    read, shown = (tf.stack([center_crop(each, size) for each in images]) for size in (load_size, _SHOWN))
    title = (
        f"Two views of each image, {plan.image_size} px, crops from {plan.smallest_crop:.0%} up, "
        f"jitter {plan.strength:g}; locations of {level} with the same number show the same place"
    )
    sheet = augment.plot_views(
        shown,
        views(read, tf.constant([config.seed, 0])),
        stride=LEVELS[level],
        names=[pathlib.Path(path).name for path in paths],
        title=title,
    )
    return sheet, len(paths)


def _check_count(count):
    if count > MOST:
        raise UserError(f"count is {count}; give at most {MOST} images to draw, 4 to 8 fit a screen")


def _some(files, count, seed):
    """Return paths and pixels of the first images of a seeded order that can be read."""
    paths, images, broken = [], [], None
    for index in np.random.default_rng(seed % 2**31).permutation(len(files)):
        try:
            images.append(datasets.read_image(files[index]))
        except UserError as error:
            broken = error
            log.warning("left out: %s", error)
            continue
        paths.append(files[index])
        if len(paths) == count:
            break
    if not paths:
        raise UserError(f"none of {len(files)} image files can be read, the last was {broken}")
    return paths, images


def training_sheet(labels, config, task, count, epochs=4):
    """Draw some labeled images, chosen by the seed, in a row each: as it is, and as epochs show it.

    Args:
        labels: `DetectionDataset`.
        config: `Config`; the task's section and `seed` are used.
        task: `"localizer"` or `"detector"`.
        count: int. How many images; fewer if there are fewer.
        epochs: int. How many epochs' images are drawn, from the first on.

    Returns:
        `[height, width, 3]` uint8 array, and the number of images in it.

    Raises:
        UserError: if a setting is not accepted.
    """
    plan, records = getattr(config, task), list(labels)
    if task == "localizer":
        records = [record for record in records if record.largest() is not None]
    # Four at least, for mosaics.
    order = np.random.default_rng(config.seed % 2**31).permutation(len(records))[: max(count, 4)]
    chosen = [records[place] for place in order]
    # In their order each epoch, so that a row is of one image.
    settings = {"shuffle": False, "batch_size": max(1, len(chosen))}
    plain = training_batches(plan, task, chosen, config.seed, flip=False, augmentation=None, **settings)
    trained = training_batches(plan, task, chosen, config.seed, **settings)  # each iteration is an epoch
    batches = [*plain, *(batch for _ in range(epochs) for batch in trained)]
    columns = [_drawn(batch, labels.class_names, plan.image_size)[:count] for batch in batches]
    sheet = np.full([_HEAD + len(columns[0]) * (_PANEL + _GAP), len(columns) * (_PANEL + _GAP), 3], 255, np.uint8)
    for across, column in enumerate(columns):
        for down, image in enumerate(column):
            x, y = across * (_PANEL + _GAP), _HEAD + down * (_PANEL + _GAP)
            sheet[y : y + _PANEL, x : x + _PANEL] = image
    policy = "flips alone" if plan.augmentation is None else _described(plan.augmentation.model_dump())
    return _headed(sheet, f"{task}, {plan.image_size} px: {policy}", epochs), len(columns[0])


def _drawn(batch, classes, size):
    """Return the images of a batch with their boxes drawn."""
    if isinstance(batch, tuple):
        images, target = batch
        boxes, labels = target["box"].numpy()[:, None] * size, target["class"].numpy()[:, None]
    else:
        images = batch["images"]
        boxes, labels = (batch["bounding_boxes"][key].numpy() for key in ("boxes", "classes"))
    return [
        Detections(box[label >= 0], np.ones(np.sum(label >= 0)), label[label >= 0], classes).plot(
            image, width=_PANEL, show_scores=False
        )
        for image, box, label in zip(images.numpy(), boxes, labels)
    ]


def _described(settings):
    return ", ".join(
        f"{name} {'-'.join(f'{end:g}' for end in value) if isinstance(value, tuple) else format(value, 'g')}"
        for name, value in settings.items()
    )


def _headed(sheet, title, epochs):
    page = Image.fromarray(sheet)
    pen = ImageDraw.Draw(page)
    size = 16
    while size > 8 and pen.textlength(title, font=ImageFont.load_default(size)) > page.width - 12:
        size -= 1
    pen.text((6, 8), title, fill=(0, 0, 0), font=ImageFont.load_default(size))
    for column in range(epochs + 1):
        head = "letterboxed" if column == 0 else f"epoch {column}"
        pen.text((column * (_PANEL + _GAP) + 6, 38), head, fill=(0, 0, 0), font=ImageFont.load_default(16))
    return np.asarray(page)
