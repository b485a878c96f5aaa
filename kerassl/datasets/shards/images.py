"""Photographs from shards: a few large files in place of many small ones."""

import hashlib
import logging
import pathlib

from kerassl.datasets.images.image_bytes import image_bytes
from kerassl.datasets.pipeline.unlabeled_images import photograph_batches
from kerassl.datasets.shards.index import open_index
from kerassl.resizing import check_image_size

log = logging.getLogger("kerassl")


def shards(
    folder,
    image_size,
    batch_size,
    *,
    augmentation=None,
    shuffle=True,
    seed=0,
    drop_remainder=True,
    strict=False,
    initial_epoch=0,
    worker=(0, 1),
    cache=None,
):
    """Batches of the photographs that `write_shards` packed, as `image_folder` gives those of a folder.

    Each epoch has an order of all images and not of the shards: `index.json` knows where each of them begins, and it is
    read from there. A record whose checksum is wrong is treated as a broken file is: left out, counted and named.
    Labels are not read; `labeled_shards` does that.

    Args:
        folder: str or `pathlib.Path`, written by `write_shards`.
        image_size, batch_size, augmentation, shuffle, seed, drop_remainder, strict, initial_epoch, worker, cache: see
            `image_folder`.

    Returns:
        `tf.data.Dataset`; see `image_folder`.

    Raises:
        UserError: if the folder holds no shards or not all of them, one has another length than it had when it was
            written, or as for `image_folder`.

    Example:
        >>> images = kerassl.datasets.shards("shards", image_size=160, batch_size=64)
        >>> model.fit(images, epochs=100)
    """
    size, folder = check_image_size(image_size), pathlib.Path(folder)
    index = open_index(folder)
    written = index.settings["image_size"]
    if written is not None and written < size:
        log.warning("%s holds images of %d px at the short side; they are enlarged to %d", folder, written, size)
    names = index.names(folder)
    return photograph_batches(
        names,
        size,
        batch_size,
        augmentation=augmentation,
        shuffle=shuffle,
        seed=seed,
        drop_remainder=drop_remainder,
        strict=strict,
        initial_epoch=initial_epoch,
        worker=worker,
        cache=cache,
        identity=lambda: hashlib.sha256("".join(entry["sha256"] for entry in index.shards).encode()).hexdigest(),
        read=image_bytes(names),
    )
