"""Photographs from shards: a few large files in place of many small ones."""

import hashlib
import logging
import pathlib

from kerassl import _compat  # noqa: F401  # isort: skip
import numpy as np
import tensorflow as tf

from kerassl._errors import UserError
from kerassl.datasets.images import check_image_size
from kerassl.datasets.photographs import photograph_batches
from kerassl.datasets.shard_index import read_index

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
    index = read_index(folder)
    if not index.complete:
        raise UserError(f"{folder} is not finished; start write_shards (kerassl shards) again, which goes on")
    files = [folder / entry["file"] for entry in index.shards]
    for path, entry in zip(files, index.shards):
        _check_length(path, entry["bytes"])
    written = index.settings["image_size"]
    if written is not None and written < size:
        log.warning("%s holds images of %d px at the short side; they are enlarged to %d", folder, written, size)
    lengths = [len(entry["offsets"]) for entry in index.shards]
    names = [f"{path}#{number}" for path, length in zip(files, lengths) for number in range(length)]
    table = tf.constant([str(path) for path in files])
    shard = tf.constant(np.repeat(np.arange(len(files)), lengths), tf.int32)
    offsets = tf.constant(np.concatenate([entry["offsets"] for entry in index.shards]), tf.int64)

    def read(name, place):
        # `tf.data.TFRecordDataset` begins at the first record; its own operation can begin at any.
        records = tf.raw_ops.TFRecordDatasetV2(
            filenames=table[shard[place]][None],
            compression_type="",
            buffer_size=tf.constant(0, tf.int64),  # else it reads far past the record
            byte_offsets=offsets[place][None],
        )
        records = tf.data.experimental.from_variant(records, tf.TensorSpec([], tf.string))
        features = {"image/encoded": tf.io.FixedLenFeature([], tf.string)}
        return tf.io.parse_single_example(records.take(1).get_single_element(), features)["image/encoded"]

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
        read=read,
        why=_fault,
    )


def _check_length(path, length):
    if not path.is_file():
        raise UserError(f"{path} is not there; start write_shards (kerassl shards) again, which writes what is missing")
    found = path.stat().st_size
    if found != length:
        raise UserError(
            f"{path} has {found} bytes and was written with {length}; start write_shards (kerassl shards) again, which "
            "mends it"
        )


def _fault(name):
    path = pathlib.Path(name.rpartition("#")[0])
    if not path.is_file():
        return "is not there"
    return "is damaged: its checksum is wrong (start write_shards again, which mends it)"
