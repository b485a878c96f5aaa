"""What pre-training would see of a few photographs, as one picture."""

import logging
import pathlib

import numpy as np

from kerassl import augment, datasets
from kerassl._errors import UserError
from kerassl._lazy import tf
from kerassl.resizing import centre_crop, check_image_size

log = logging.getLogger("kerassl")

STRIDES = {"P3": 8, "P4": 16, "P5": 32}
MOST = 200
"""Images on a sheet: more would make a picture that few programs open."""
_SHOWN = 384  # px; the picture of the photograph is finer than what views are cut from


def contact_sheet(config, count, level):
    """Reads some photographs, chosen by the seed, cuts views of them as pre-training does, and draws both.

    Args:
        config: `Config`; `data.images`, `pretrain` and `seed` are used.
        count: int. How many photographs; fewer if there are fewer.
        level: `"P3"`, `"P4"` or `"P5"`, whose matched cells are drawn.

    Returns:
        `[height, width, 3]` uint8 array, and the number of photographs in it.

    Raises:
        UserError: if no image is named, found or readable, or a size does not fit.
    """
    if count > MOST:
        raise UserError(f"count is {count}; give at most {MOST} images to draw, 4 to 8 fit a screen")
    if not config.data.images:
        raise UserError("no images are named; give a folder, as in: kerassl views photos/ --out views.png")
    plan, files = config.pretrain, datasets.image_files(config.data.images)
    load_size = check_image_size(plan.load_size or check_image_size(plan.image_size) + 32)
    views = augment.SimCLRViews(plan.image_size, crop_area=(plan.smallest_crop, 1.0), strength=plan.strength)
    paths, photographs = _some(files, count, config.seed)
    read, shown = (tf.stack([centre_crop(each, size) for each in photographs]) for size in (load_size, _SHOWN))
    title = (
        f"Two views of each photograph, {plan.image_size} px, crops from {plan.smallest_crop:.0%} up, "
        f"jitter {plan.strength:g}; cells of {level} with one number show one place"
    )
    sheet = augment.contact_sheet(
        shown,
        views(read, tf.constant([config.seed, 0])),
        stride=STRIDES[level],
        names=[pathlib.Path(path).name for path in paths],
        title=title,
    )
    return sheet, len(paths)


def _some(files, count, seed):
    """The first photographs of a seeded order that can be read: their paths and pixels."""
    paths, photographs, broken = [], [], None
    for index in np.random.default_rng(seed % 2**31).permutation(len(files)):
        try:
            photographs.append(datasets.read_image(files[index]))
        except UserError as error:
            broken = error
            log.warning("left out: %s", error)
            continue
        paths.append(files[index])
        if len(paths) == count:
            break
    if not paths:
        raise UserError(f"none of {len(files)} image files can be read, the last was {broken}")
    return paths, photographs
