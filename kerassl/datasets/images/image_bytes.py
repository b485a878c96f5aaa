"""The bytes of images, in the graph: of files, and of records in shards."""

import os
import pathlib

import numpy as np

from kerassl._errors import UserError
from kerassl._lazy import tf
from kerassl.datasets.images.faults import never_read
from kerassl.datasets.images.shard_index import is_tfds, read_index, record_spans, scan_spans, shard_place


def path_tensor(paths):
    """Return paths for TensorFlow, which takes bytes: names of files need not be UTF-8.

    Args:
        paths: list of str or `pathlib.Path`.

    Returns:
        `[n]` string tensor. `os.fsdecode` makes a str of each again.
    """
    return tf.constant([os.fsencode(path) for path in paths], tf.string, [len(paths)])


def image_bytes(paths):
    """Return a function that reads images, each of which is a file or in a shard.

    Args:
        paths: list of str or `pathlib.Path`; images in shards as `shard_place` knows them.

    Returns:
        Function of (path, index), the path as `path_tensor` has it and its place in the list, to a scalar string
        tensor. What it raises is a `tf.errors.OpError`: where there is no such file, it is a pipe or a device, or a
        record's checksum is wrong.

    Raises:
        UserError: if a shard's folder has no index, or it does not know the image.

    Example:
        >>> paths = [record.path for record in records]
        >>> contents = image_bytes(paths)(paths[7], 7)
    """
    places = [shard_place(path) for path in paths]
    refused = [place is None and never_read(path) is not None for path, place in zip(paths, places)]
    read = _either([place is not None for place in places], lambda: _from_shards(paths), lambda: _read_file)
    return _either(refused, lambda: _read_nothing, lambda: read)


def _read_file(path, index):
    return tf.io.read_file(path)


def _read_nothing(path, index):
    with tf.control_dependencies([tf.raw_ops.Assert(condition=False, data=["never read"])]):
        return tf.constant(b"")


def _either(chosen, first, second):
    """One of two ways to read by an image's place, without a branch in the graph where all are read alike."""
    if len(set(chosen)) < 2:
        return first() if any(chosen) else second()
    chosen, first, second = tf.constant(chosen), first(), second()
    return lambda path, index: tf.cond(chosen[index], lambda: first(path, index), lambda: second(path, index))


def _from_shards(paths):
    read_example = example_bytes(paths)

    def feature(name):
        def read(path, index):
            features = {name: tf.io.FixedLenFeature([], tf.string)}
            return tf.io.parse_single_example(read_example(path, index), features)[name]

        return read

    places = [shard_place(path) for path in paths]
    chosen = [place is not None and is_tfds(place[0]) for place in places]
    return _either(chosen, lambda: feature("image"), lambda: feature("image/encoded"))


def example_bytes(paths):
    """Return a function that reads whole records of shards.

    Args:
        paths: see `image_bytes`; what is not in a shard cannot be read by the function.

    Returns:
        Function as of `image_bytes`, to a serialized `tf.train.Example`.

    Raises:
        UserError: see `image_bytes`.
    """
    places = [shard_place(path) for path in paths]
    files = list(dict.fromkeys(place[0] for place in places if place))
    known, numbers = _spans(files), {file: number for number, file in enumerate(files)}
    shards, spans = np.zeros(len(places), np.int32), np.zeros([len(places), 2], np.int64)
    for row, place in enumerate(places):
        if place is not None:
            file, number = place
            if number >= len(known.get(file, ())):
                folder = pathlib.Path(file).parent
                raise UserError(f"the index of {folder} knows no {paths[row]}; read the names from the shards again")
            shards[row], spans[row] = numbers[file], known[file][number]
    table, shards, spans = path_tensor(files), tf.constant(shards), tf.constant(spans)

    def begins(shard, span):
        # TensorFlow takes as much memory as a record's head asks for, without an end: 2**62 bytes end the process.
        with open(files[shard], "rb") as file:
            file.seek(span[0])
            return np.bool_(int.from_bytes(file.read(8), "little") == span[1])

    def read(path, index):
        shard, span = shards[index], spans[index]
        right = tf.ensure_shape(tf.numpy_function(begins, [shard, span], tf.bool), [])
        with tf.control_dependencies([tf.raw_ops.Assert(condition=right, data=["another length than in the index"])]):
            span = tf.identity(span)
        # `tf.data.TFRecordDataset` begins at the first record; its own operation can begin at any.
        records = tf.raw_ops.TFRecordDatasetV2(
            filenames=table[shard][None],
            compression_type="",
            buffer_size=tf.constant(0, tf.int64),  # else it reads far past the record
            byte_offsets=span[:1],
        )
        records = tf.data.experimental.from_variant(records, tf.TensorSpec([], tf.string))
        return records.take(1).get_single_element()

    return read


def _spans(files):
    """Where the records of shards begin and how long their contents are, by the shard's path."""
    folders = dict.fromkeys(pathlib.Path(file).parent for file in files if not is_tfds(file))
    entries = {str(folder / entry["file"]): entry for folder in folders for entry in read_index(folder).shards}
    for file in files:
        if (file in entries or is_tfds(file)) and os.path.exists(file) and not os.path.isfile(file):
            raise UserError(f"{file} {never_read(file)}; write the shards again into a new folder")
    spans = {file: record_spans(entry) for file, entry in entries.items()}
    return spans | {file: scan_spans(file) for file in files if is_tfds(file) and os.path.isfile(file)}
