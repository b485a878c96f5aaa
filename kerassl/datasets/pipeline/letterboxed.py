"""Letterboxed images for prediction, with the scale that leads back to the original."""

import collections.abc
import logging
import os
import typing

import numpy as np

from kerassl._display import printable
from kerassl._errors import UserError
from kerassl._lazy import tf
from kerassl._numbers import check
from kerassl.datasets.images.decoding import decode
from kerassl.datasets.images.faults import fault
from kerassl.datasets.images.files import image_names
from kerassl.datasets.images.image_bytes import image_bytes, path_tensor
from kerassl.datasets.pipeline.stream import read_ahead
from kerassl.datasets.record import Record
from kerassl.resizing import letterbox

log = logging.getLogger("kerassl")


def identified(images):
    """Return the image ids and paths of images.

    Args:
        images: list of `Record`s, or a folder, a file or a list of those, or a folder of shards, or places in shards.

    Returns:
        List of ids (a record's own; the path as str of a file; the place in a shard) and list of paths as str.

    Raises:
        UserError: if there is no image, or a path does not exist.
    """
    if isinstance(images, collections.abc.Sequence) and images and all(isinstance(each, Record) for each in images):
        return [record.image_id for record in images], [str(record.path) for record in images]
    paths = image_names(images)
    return paths, paths


def arrays_of(images: typing.Any) -> list[np.ndarray] | None:
    """Return a list of `[H, W, 3]` arrays; None for images that are named.

    Raises:
        UserError: if an array is of another shape.
    """
    if isinstance(images, (str, os.PathLike)):
        return None
    if hasattr(images, "shape") and len(images.shape) == 3:
        images = [images]
    images = list(images)
    if not images or not all(hasattr(image, "shape") for image in images):
        return None
    odd = [tuple(image.shape) for image in images if len(image.shape) != 3 or image.shape[-1] != 3]
    if odd:
        raise UserError(f"an image is an array of shape {odd[0]}; give [H, W, 3], RGB in [0, 255]")
    return images


def letterboxed_batches(paths, image_size, batch_size, mirrored=False, strict=False, first=0, required=True):
    """Read image files in order; a broken one is named in the log and left out.

    Args:
        paths: list of str, of files or of images in shards.
        image_size: int, the side of the letterbox in pixels.
        batch_size: int.
        mirrored: bool. Give each image twice, the second time mirrored before it was letterboxed: `[B, 2, S, S, 3]`.
        strict: bool. Stop at a broken file.
        first: int. The place to begin at.
        required: bool. Whether it is an error that none can be read.

    Yields:
        `(places, images, scales, sizes)`: int `[B]`, the places of the images in `paths`; `[B, S, S, 3]` float32 in
        [0, 255]; `[B]` float32, letterboxed over original pixels; `[B, 2]` float32, height and width of the original.

    Raises:
        UserError: if the batch size is not positive, or no image can be read; with `strict`, at a broken file.
    """
    check(batch_size=batch_size)

    def load(contents):
        image = decode(contents)
        boxed, scale = letterbox(image, image_size)
        if mirrored:
            boxed = tf.stack([boxed, letterbox(image[:, ::-1], image_size)[0]])
        return boxed, scale, tf.cast(tf.shape(image)[:2], tf.float32)

    shape = [*([2] if mirrored else []), image_size, image_size, 3]
    blank = (tf.zeros(shape), tf.constant(0.0), tf.zeros([2]))

    read = image_bytes(paths)

    def attempt(place, path):
        one = tf.data.Dataset.from_tensors((path, place)).map(lambda *one: load(read(*one))).ignore_errors()
        return one.concatenate(tf.data.Dataset.from_tensors(blank)).take(1).get_single_element()

    files = (
        tf.data.Dataset.from_tensor_slices(path_tensor(paths))
        .enumerate()
        .skip(first)
        .map(attempt, num_parallel_calls=tf.data.AUTOTUNE)
    )
    broken = 0
    for images, scales, sizes in read_ahead(files.batch(batch_size)):
        good = scales.numpy() > 0  # the scale of a blank is 0
        places = np.arange(first, first + len(good))
        first += len(good)
        for place in places[~good]:
            reason, broken = fault(paths[place]), broken + 1
            if strict:
                raise UserError(f"{paths[place]} {reason}; repair or remove the file, or read without strict")
            log.warning("left out %s: it %s", printable(paths[place]), reason)
        if good.any():
            yield places[good], *(tf.boolean_mask(part, good) for part in (images, scales, sizes))
    if required and broken == len(paths):
        raise UserError(f"none of {len(paths)} images can be read, first {paths[0]} {fault(paths[0])}")
