"""Regions of images that are painted over before a model learns from them."""

import json
import pathlib

import numpy as np

from kerassl._errors import UserError
from kerassl._io.text import UnreadableError, text_of
from kerassl._lazy import tf

_WANTED = "give regions as [x0, y0, x1, y1], shares of the image's width and height from 0 to 1"


def erased_regions(erase):
    """Read the regions that are to be painted over.

    Args:
        erase: None, the path of a `.json` file, as `kerassl audit` writes `regions.json`, or its content: a dict
            from a class name, or `"all"`, to a list of regions, or a list of regions. A region is xyxy in shares of the
            image's width and height.

    Returns:
        `[n, 4]` float32 array. Whose they are is dropped: every image is painted in all of them, whatever its class,
        since paint in one class's images alone would be that class's new mark.

    Raises:
        UserError: if the file cannot be read, or something in it is no region.

    Example:
        >>> datasets.single_object_batches(records, 192, 32, erase="audit/regions.json")
    """
    if erase is None:
        return np.zeros([0, 4], np.float32)
    where = "erase"
    if isinstance(erase, (str, pathlib.Path)):
        where = str(erase)
        try:
            erase = json.loads(text_of(erase))
        except (UnreadableError, ValueError, RecursionError) as error:
            raise UserError(f"{where} cannot be read as regions ({error}); {_WANTED}, as kerassl audit does") from None
    if isinstance(erase, dict):
        try:
            erase = [region for regions in erase.values() for region in regions]
        except TypeError:
            raise UserError(f"{where} has a class without a list of regions; {_WANTED}") from None
    try:
        regions = np.asarray(erase, np.float32)
    except (ValueError, TypeError):
        raise UserError(f"{where} is no list of regions; {_WANTED}") from None
    if not regions.size:
        return np.zeros([0, 4], np.float32)
    if regions.ndim != 2 or regions.shape[1] != 4:
        raise UserError(f"{where} holds {regions.shape} numbers; {_WANTED}")
    for region in regions:
        inside = np.isfinite(region).all() and region.min() >= 0 and region.max() <= 1
        if not inside or (region[2:] <= region[:2]).any():
            raise UserError(f"{where} has the region {[round(float(x), 4) for x in region]}; {_WANTED}")
    return regions


def paint_over(image, regions):
    """Paint the regions of an image in its mean color.

    The mean color, not noise: noise has outlines that no photo has, in every image that is learned from and
    in none that is predicted; a plain patch is what sky or wall is, too. The mean is the image's own, so that no
    fixed color is learned. A pixel is painted where its center is in a region.

    Args:
        image: `[H, W, 3]` tensor in [0, 255], uint8 or float, of any size: before it is letterboxed or mirrored.
        regions: `[n, 4]` array, as `erased_regions` gives it.

    Returns:
        Tensor as `image`; `image` itself where there is no region.
    """
    if not len(regions):
        return image
    shape = tf.shape(image)
    y, x = ((tf.range(shape[axis], dtype=tf.float32) + 0.5) / tf.cast(shape[axis], tf.float32) for axis in (0, 1))
    x0, y0, x1, y1 = (tf.constant(side[:, None]) for side in np.asarray(regions, np.float32).T)
    rows, columns = (y >= y0) & (y < y1), (x >= x0) & (x < x1)  # [n, H], [n, W]
    painted = tf.reduce_any(rows[:, :, None] & columns[:, None, :], axis=0)[..., None]
    mean = tf.reduce_mean(tf.cast(image, tf.float32), axis=[0, 1])
    mean = tf.cast(tf.round(mean) if image.dtype.is_integer else mean, image.dtype)
    return tf.where(painted, mean, image)
