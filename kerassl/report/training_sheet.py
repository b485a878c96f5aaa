"""What fine-tuning would see of a few annotated images, as one picture."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kerassl import datasets, detectors
from kerassl._errors import UserError
from kerassl.report.contact_sheet import MOST
from kerassl.runs.finetune import training_batches
from kerassl.runs.sources import labelled_split

_PANEL, _GAP, _HEAD = 300, 6, 64  # px


def training_sheet(config, task, count, epochs=4):
    """Reads some annotated images, chosen by the seed, and draws a row of each: as it is, and as epochs show it.

    Args:
        config: `Config`; `data.voc`, the task's section and `seed` are used.
        task: `"localizer"` or `"detector"`.
        count: int. How many images; fewer if there are fewer.
        epochs: int. How many epochs' images are drawn, from the first on.

    Returns:
        `[height, width, 3]` uint8 array, and the number of images in it.

    Raises:
        UserError: if no VOCdevkit is named, nothing in it can be read, or a setting is not accepted.
    """
    if count > MOST:
        raise UserError(f"count is {count}; give at most {MOST} images to draw, 4 to 8 fit a screen")
    voc, plan = config.data.voc, getattr(config, task)
    if voc is None:
        raise UserError("no labelled images are named; give --voc a VOCdevkit, or data.voc.root in the configuration")
    classes = tuple(voc.classes or datasets.VOC_CLASSES)
    records = labelled_split(config, voc.train, classes)
    if task == "localizer":
        records = [record for record in records if record.largest() is not None]
    # Four at least, for mosaics.
    order = np.random.default_rng(config.seed % 2**31).permutation(len(records))[: max(count, 4)]
    chosen = [records[place] for place in order]
    # In their order each epoch, so that a row is of one image.
    settings = {"shuffle": False, "batch_size": max(1, len(chosen))}
    plain = training_batches(config, task, chosen, flip=False, augmentation=None, **settings)
    trained = training_batches(config, task, chosen, repeat=True, **settings)
    columns = [_drawn(batch, classes, plan.image_size)[:count] for batch in [*plain, *trained.take(epochs)]]
    sheet = np.full([_HEAD + len(columns[0]) * (_PANEL + _GAP), len(columns) * (_PANEL + _GAP), 3], 255, np.uint8)
    for across, column in enumerate(columns):
        for down, picture in enumerate(column):
            x, y = across * (_PANEL + _GAP), _HEAD + down * (_PANEL + _GAP)
            sheet[y : y + _PANEL, x : x + _PANEL] = picture
    told = "flips alone" if plan.augmentation is None else _told(plan.augmentation.model_dump())
    return _headed(sheet, f"{task}, {plan.image_size} px: {told}", epochs), len(columns[0])


def _drawn(batch, classes, size):
    """Pictures of a batch with their boxes."""
    if isinstance(batch, tuple):
        images, target = batch
        boxes, labels = target["box"].numpy()[:, None] * size, target["class"].numpy()[:, None]
    else:
        images, boxes, labels = batch["images"], *(batch["bounding_boxes"][key].numpy() for key in ("boxes", "classes"))
    return [
        detectors.draw(image, {"boxes": box[label >= 0], "classes": label[label >= 0]}, classes, width=_PANEL)
        for image, box, label in zip(images.numpy(), boxes, labels)
    ]


def _told(settings):
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
