"""Batches of images without labels, from a folder or from shards."""

from __future__ import annotations

import logging
import os
import pathlib
import typing
from collections.abc import Callable, Sequence

from kerassl._errors import UserError
from kerassl._lazy import tf
from kerassl._numbers import check
from kerassl.datasets.images.files import files_identity, image_names
from kerassl.datasets.images.shard_index import read_index, shard_place
from kerassl.datasets.pipeline.row_cache import RowCache
from kerassl.datasets.pipeline.stream import check_worker, number_of_steps, resumable
from kerassl.resizing import center_crop, check_image_size

if typing.TYPE_CHECKING:
    from kerassl.datasets.pipeline.resumable import ResumableDataset

log = logging.getLogger("kerassl")


def image_folder(
    paths: str | os.PathLike | Sequence[str | os.PathLike],
    image_size: int,
    batch_size: int,
    *,
    augmentation: Callable | None = None,
    shuffle: bool = True,
    seed: int = 0,
    drop_remainder: bool = True,
    strict: bool = False,
    initial_epoch: int = 0,
    worker: tuple[int, int] = (0, 1),
    cache: str | os.PathLike | None = None,
) -> ResumableDataset:
    """Make batches of images, resized on the short side and center-cropped.

    A file that cannot be decoded, or a record of a shard whose checksum is wrong, is left out, counted and named in the
    log; another image of the same epoch takes its place, so that every epoch has the same number of batches. Each epoch
    has an order of all images, also of those in shards.

    Args:
        paths: folder (with all folders in it), file, or sequence of those; see `image_files`. Or folder of shards that
            `write_shards` wrote, whose labels are not read.
        image_size: int. Side of the images in pixels, a multiple of 32.
        batch_size: int. Images a batch.
        augmentation: callable of images `[B, S, S, 3]` float32 and a `[2]` int32 seed, as `augment.SimCLRViews`; or
            None. The seed is (`seed`, number of the batch over all epochs and workers). With an attribute `image_dtype`
            it gets images of that type, as uint8.
        shuffle: bool. Another order each epoch, from `seed` and the number of the epoch.
        seed: int.
        drop_remainder: bool. Leave out the images that fill no batch (others in each epoch, if shuffled). Contrastive
            losses need it: a small last batch has fewer negatives, hence another loss.
        strict: bool. Stop at a broken file.
        initial_epoch: int. The first iteration over the data set counts as this epoch: for a run that is resumed.
        worker: (index, count). Which of several workers this is, each of which reads its own share of every epoch's
            order: no image is read by two of them, all have equally many steps, and `batch_size` is this worker's own.
            Make it inside `strategy.distribute_datasets_from_function`, `repeat` it there, and give `fit` its `steps`.
        cache: None, `"memory"` or a folder. Keep the images as they were cropped, so that each file is decoded once;
            those in a folder serve later runs too, until a file is changed. The batches are the same to the bit.

    Returns:
        `ResumableDataset`, a `tf.data.Dataset` of `[B, S, S, 3]` float32, whole numbers in [0, 255], or of what
        `augmentation` returns.

    Raises:
        UserError: if a path is missing, no image is found or can be read, shards are missing or incomplete, the images
            do not fill one batch, or there is no room for the cache.

    Example:
        >>> images = kerassl.datasets.image_folder("photos", image_size=160, batch_size=64)
        >>> model.fit(images, epochs=100)
    """
    size, batch_size, seed = check_image_size(image_size), check(batch_size=batch_size), check(seed=seed) % 2**31
    paths = image_names(paths)
    place = shard_place(paths[0])
    written = None if place is None else read_index(pathlib.Path(place[0]).parent).settings["image_size"]
    if written is not None and written < size:
        log.warning("the shards hold images of %d px at the short side; they are enlarged to %d", written, size)
    index, workers = check_worker(worker)
    if workers > 1 and not drop_remainder:
        raise UserError("workers need equally many whole batches; leave drop_remainder=False out")
    steps = number_of_steps(len(paths), batch_size, drop_remainder=drop_remainder, workers=workers)
    rows = None if cache is None else RowCache(cache, files_identity(paths), len(paths), size)

    def load(image, index, draw):
        return tf.cast(tf.round(center_crop(image, size)), tf.uint8)  # [S, S, 3], the same from a cache

    def number(epoch, step):
        return (epoch * steps + step) * workers + index

    def finish(images, skipped):
        batches = images.batch(batch_size, drop_remainder=drop_remainder)
        wanted = getattr(augmentation, "image_dtype", tf.float32)
        batches = batches.map(lambda epochs, images: (epochs, tf.cast(images, wanted)))
        if augmentation is None:
            return batches.map(lambda epochs, images: images)
        return batches.enumerate(start=skipped).map(
            lambda step, row: augmentation(row[1], tf.stack([seed, number(row[0][0], tf.cast(step, tf.int32))]))
        )

    return resumable(
        paths,
        load,
        finish,
        steps,
        batch_size,
        total=min(steps * batch_size, len(paths) // workers),
        shuffle=shuffle,
        seed=seed,
        strict=strict,
        initial_epoch=initial_epoch,
        worker=(index, workers),
        cache=rows,
        shortest=size,
    )
