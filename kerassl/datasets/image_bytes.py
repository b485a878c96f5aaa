"""The bytes of images, in the graph: of files, and of records in shards."""

import pathlib

import numpy as np

from kerassl._errors import UserError
from kerassl._lazy import tf
from kerassl.datasets.shard_index import read_index, shard_place


def read_file(path, index):
    """The bytes of a file: how images are read where nothing else is said."""
    return tf.io.read_file(path)


def image_bytes(paths):
    """How to read images, each of which is a file or stands in a shard.

    Args:
        paths: list of str or `pathlib.Path`; images in shards as `shard_place` knows them.

    Returns:
        Function of (path, index), the index being the path's place in the list, to a scalar string tensor. What it
        raises is a `tf.errors.OpError`: where there is no such file, or a record's checksum is wrong.

    Raises:
        UserError: if a shard's folder has no index, or it does not know the image.

    Example:
        >>> paths = [record.path for record in records]
        >>> contents = image_bytes(paths)(paths[7], 7)
    """
    places = [shard_place(path) for path in paths]
    if not any(places):
        return read_file
    read_example = example_bytes(paths)

    def read(path, index):
        features = {"image/encoded": tf.io.FixedLenFeature([], tf.string)}
        return tf.io.parse_single_example(read_example(path, index), features)["image/encoded"]

    if all(places):
        return read
    packed = tf.constant([place is not None for place in places])
    return lambda path, index: tf.cond(packed[index], lambda: read(path, index), lambda: read_file(path, index))


def example_bytes(paths):
    """How to read whole records of shards.

    Args:
        paths: see `image_bytes`; what is not in a shard cannot be read by the function.

    Returns:
        Function as of `image_bytes`, to a serialized `tf.train.Example`.

    Raises:
        UserError: see `image_bytes`.
    """
    places = [shard_place(path) for path in paths]
    files = list(dict.fromkeys(place[0] for place in places if place))
    known, numbers = _offsets(files), {file: number for number, file in enumerate(files)}
    shards, offsets = np.zeros(len(places), np.int32), np.zeros(len(places), np.int64)
    for row, place in enumerate(places):
        if place is not None:
            file, number = place
            if number >= len(known.get(file, ())):
                raise UserError(f"the index of {pathlib.Path(file).parent} knows no {paths[row]}; read the shards anew")
            shards[row], offsets[row] = numbers[file], known[file][number]
    table, shards, offsets = tf.constant(files, tf.string), tf.constant(shards), tf.constant(offsets)

    def read(path, index):
        # `tf.data.TFRecordDataset` begins at the first record; its own operation can begin at any.
        records = tf.raw_ops.TFRecordDatasetV2(
            filenames=table[shards[index]][None],
            compression_type="",
            buffer_size=tf.constant(0, tf.int64),  # else it reads far past the record
            byte_offsets=offsets[index][None],
        )
        records = tf.data.experimental.from_variant(records, tf.TensorSpec([], tf.string))
        return records.take(1).get_single_element()

    return read


def _offsets(files):
    """Where the records of shards begin, by the shard's path."""
    folders = dict.fromkeys(pathlib.Path(file).parent for file in files)
    entries = [(folder, entry) for folder in folders for entry in read_index(folder).shards]
    return {str(folder / entry["file"]): entry["offsets"] for folder, entry in entries}
