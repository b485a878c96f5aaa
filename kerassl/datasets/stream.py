"""The common road of every reader: an order for each epoch, decoding side by side, broken files told and replaced."""

import logging
import threading

from kerassl import _compat  # noqa: F401  # isort: skip
import numpy as np
import tensorflow as tf

from kerassl._errors import UserError
from kerassl.datasets.images import decode, fault

log = logging.getLogger("kerassl")


class _Broken:
    """Tells each broken file once; stops where the user wants it, or where nothing else is left."""

    def __init__(self, strict, count, known=()):
        self.strict = strict
        self.count = count
        self.paths = set(map(str, known))
        self.lock = threading.Lock()

    def __call__(self, path, failures):
        path = path.decode()
        message = f"{path} {fault(path)}"
        if self.strict:
            raise UserError(f"{message}; mend or remove the file, or read without strict")
        with self.lock:
            if path not in self.paths:
                self.paths.add(path)
                log.warning("broken image %d: %s; another takes its place", len(self.paths), message)
        if failures >= self.count:  # without this the stream would look for a whole file without end
            raise UserError(f"none of {self.count} image files can be read any more, the last was {message}")
        return np.int32(0)


def user_error(error):
    """The one-line message in an error that TensorFlow raises when reading stops within `fit` or an iteration.

    Args:
        error: `tf.errors.OpError`.

    Returns:
        `UserError`, or None if the error is of another kind.

    Example:
        >>> try:
        ...     model.fit(kerassl.datasets.image_folder("photos", 160, 64, strict=True))
        ... except tf.errors.OpError as error:
        ...     raise kerassl.datasets.user_error(error) or error from None
    """
    for line in str(error).splitlines():
        _, found, message = line.partition("UserError: ")
        if found:
            return UserError(message)
    return None


def check_readable(paths):
    """Refuses a list of files of which none can be decoded; usually looks at the first alone.

    Args:
        paths: sequence of str.

    Raises:
        UserError: if no file can be decoded.
    """
    for path in paths:
        try:
            decode(tf.io.read_file(path))
            return
        except tf.errors.OpError:
            continue
    raise UserError(
        f"none of {len(paths)} image files can be read, first {paths[0]} {fault(paths[0])}; give whole JPEG, PNG, "
        "BMP, GIF or WebP files"
    )


def stream(paths, total, load, *, shuffle, seed, strict, epochs=None, skip=0, broken=None, shortest=None):
    """Decoded images, epoch after epoch in another order.

    Args:
        paths: list of str.
        total: int. Images an epoch. Where files are broken the beginning of the epoch's order is read again until
            there are so many.
        load: function of (`[H, W, 3]` uint8, index, seed `[3]` int32) to what the stream is to hold; in the graph.
            The seed is (`seed`, epoch, index).
        shuffle: bool. Another order each epoch, from `seed` and the epoch.
        seed: int.
        strict: bool. Stop at a broken file.
        epochs: `Epochs`, or None to count from 0.
        skip: int. How many of an epoch's images to leave out at its beginning, without reading them.
        broken: `broken_files`, or None. The files that are known to be broken.
        shortest: int or None; see `decode`.

    Returns:
        `tf.data.Dataset` of (epoch, what `load` gives), `total - skip` an epoch.

    Raises:
        UserError: if no file can be decoded.
    """
    check_readable(paths)
    count, seed = len(paths), int(seed) % 2**31
    epochs = Epochs() if epochs is None else epochs
    table = tf.constant(paths)
    broken = broken if broken is not None else broken_files(paths, strict)

    def begin():
        epoch = next(epochs)
        order = np.random.default_rng([seed, epoch]).permutation(count) if shuffle else np.arange(count)
        if skip:
            order = _after(order, skip, [paths[index] in broken.paths for index in order])
        return np.int32(epoch), order.astype(np.int32)

    def read(path):
        return decode(tf.io.read_file(path), shortest=shortest)

    def open_one(epoch, index):
        draw = tf.stack([seed, epoch, index])
        # Only the decoder's errors are caught: what is wrong in `load` must be seen.
        one = tf.data.Dataset.from_tensors(table[index]).map(
            lambda path: decode(tf.io.read_file(path), shortest=shortest)
        )
        blank = tf.data.Dataset.from_tensors(tf.zeros([0, 0, 3], tf.uint8))
        image = one.ignore_errors().concatenate(blank).take(1).get_single_element()
        valid = tf.size(image) > 0
        image = tf.cond(valid, lambda: image, lambda: tf.zeros([1, 1, 3], tf.uint8))
        return valid, table[index], epoch, load(image, index, draw)

    def tell(failures, row):
        valid, path, _, _ = row
        failures = tf.where(valid, 0, failures + 1)
        with tf.control_dependencies([tf.cond(valid, lambda: 0, lambda: told(path, failures))]):
            return tf.identity(failures), row

    def told(path, failures):
        return tf.ensure_shape(tf.numpy_function(broken, [path, failures], tf.int32), [])

    def one_epoch(epoch, order):
        indices = tf.data.Dataset.from_tensor_slices(order).repeat()
        rows = indices.map(lambda index: open_one(epoch, index), num_parallel_calls=tf.data.AUTOTUNE)
        rows = rows.scan(tf.constant(0), tell)
        return (
            rows.filter(lambda valid, *_: valid).map(lambda valid, path, epoch, item: (epoch, item)).take(total - skip)
        )

    start = tf.data.Dataset.from_tensors(0)
    start = start.map(lambda _: _shaped(*tf.numpy_function(begin, [], (tf.int32, tf.int32)), count))
    return start.flat_map(one_epoch)


class Epochs:
    """Counts the iterations over a data set, each of which is an epoch.

    Args:
        first: int. The epoch of the first iteration.
    """

    def __init__(self, first=0):
        self.following = first

    def begin(self, epoch):
        """Makes the next iteration this epoch."""
        self.following = epoch

    def __next__(self):
        self.following += 1
        return self.following - 1


def broken_files(paths, strict, known=()):
    """What a stream knows of broken files; it grows as they are met.

    Args:
        paths: list of str, all files.
        strict: bool. Stop at a broken file.
        known: iterable of str, files that were met before.

    Returns:
        Object whose `paths` is the set of broken files.
    """
    return _Broken(strict, len(paths), known)


def _after(order, skip, broken):
    """The order as it goes on after so many whole files; it is gone through again and again."""
    whole = np.flatnonzero(~np.array(broken))  # places in the order
    rest = skip % len(whole)  # whole passes end where they began
    place = whole[rest - 1] + 1 if rest else 0
    return np.roll(order, -place)


def _shaped(epoch, order, count):
    return tf.ensure_shape(epoch, []), tf.ensure_shape(order, [count])
