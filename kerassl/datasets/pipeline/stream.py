"""The pipeline of every reader: an order for each epoch, parallel decoding, broken files reported and replaced."""

import importlib
import logging
import os
import threading

import numpy as np

from kerassl._display import counted, printable
from kerassl._errors import UserError
from kerassl._lazy import tf
from kerassl._numbers import check
from kerassl.datasets.images.decoding import decode, shrinkage
from kerassl.datasets.images.faults import fault
from kerassl.datasets.images.image_bytes import image_bytes, path_tensor

log = logging.getLogger("kerassl")


class BrokenFiles:
    """Report each broken file once; stop where the user wants it, or where nothing else is left.

    Args:
        strict: bool. Stop at a broken file.
        outcome: str. What becomes of a broken file, for the log.

    Attributes:
        paths: set of str, the broken files that a stream has met.
    """

    def __init__(self, strict, outcome="another takes its place"):
        self.strict, self.outcome = strict, outcome
        self.paths = set()
        self.lock = threading.Lock()

    def __call__(self, paths, none_whole):
        for path in map(os.fsdecode, paths):
            message = printable(f"{path} {fault(path)}")
            if self.strict:
                raise UserError(f"{message}; fix or remove the file, or read without strict")
            with self.lock:
                if path not in self.paths:
                    self.paths.add(path)
                    log.warning("broken image %d: %s; %s", len(self.paths), message, self.outcome)
        if none_whole:  # without this the stream would look for a whole file without end
            raise UserError(f"none of {len(paths)} image files can be read any more, the last was {message}")
        return np.int32(0)


def user_error(error: Exception) -> UserError | None:
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


def check_readable(paths, read=None):
    """Refuse a list of files of which none can be decoded; usually reads the first alone.

    Args:
        paths: sequence of str.
        read: see `stream`.

    Raises:
        UserError: if no file can be decoded.
    """
    if not len(paths):
        raise UserError("no image is named; give at least one that can be read")
    read = image_bytes(paths) if read is None else read
    for index, path in enumerate(paths):
        try:
            decode(read(os.fsencode(path), tf.constant(index)))
            return
        except tf.errors.OpError:
            continue
    raise UserError(
        f"none of {len(paths)} image files can be read, first {paths[0]} {fault(paths[0])}; give whole JPEG, PNG, "
        "BMP, GIF or WebP files"
    )


def check_worker(worker):
    """Refuse what is no place among several workers.

    Args:
        worker: (index, count), ints.

    Returns:
        The same, as a tuple.

    Raises:
        UserError: if the index is not from 0 to count - 1.
    """
    try:
        index, count = (int(each) for each in worker)
    except (TypeError, ValueError):
        index, count = -1, 0
    if not 0 <= index < count:
        raise UserError(f"worker is {worker!r}; give (index, count), as (0, 2) for the first of two")
    return index, count


def number_of_steps(count, batch_size, *, drop_remainder=True, workers=1, kind=""):
    """Return how many batches of `count` images an epoch has, and refuse images that do not fill one.

    Args:
        count: int, the images of all workers.
        batch_size: int, of one worker.
        drop_remainder: bool. Count whole batches alone.
        workers: int.
        kind: str, what images these are, for the message.

    Raises:
        UserError: if there is no batch.
    """
    share = count // workers
    steps = share // batch_size if drop_remainder else -(-share // batch_size)
    if not steps:
        fact = f"{counted(count, 'image')}{kind} cannot fill one batch of {batch_size}"
        fact += f" on each of {workers} workers" if workers > 1 else ""
        flags = [f"{name} at most {share}, or " if share else "" for name in ("a batch_size of", "--batch-size")]
        raise UserError(*(f"{fact}; give {flag}more images" for flag in flags))
    return steps


def stream(
    paths,
    total,
    load,
    *,
    shuffle,
    seed,
    strict,
    epochs=None,
    skip=0,
    broken=None,
    worker=(0, 1),
    read=None,
    cache=None,
    shortest=None,
    longest=None,
):
    """Decode images, epoch after epoch in another order.

    Args:
        paths: list of str.
        total: int. Images an epoch. Where files are broken the beginning of the epoch's order is read again until
            there are so many.
        load: function of (`[H, W, 3]` uint8, index, seed `[3]` int32) to what the stream is to hold; in the graph.
            The seed is (`seed`, epoch, index). With `longest` also of a fourth, the image's `shrinkage`.
        shuffle: bool. Another order each epoch, from `seed` and the epoch.
        seed: int.
        strict: bool. Stop at a broken file.
        epochs: `Epochs`, or None to count from 0.
        skip: int. How many of an epoch's images to leave out at its beginning, without reading them.
        broken: `BrokenFiles`, or None. The files that are known to be broken.
        worker: (index, count). Of every epoch's order take each `count`-th image, from the `index`-th on: the workers
            of a run share the images without one of them twice.
        read: function of (path, index) to the image's bytes, in the graph, or None for `image_bytes` of the paths.
        cache: `RowCache`, or None. Then `load` must give its rows, and depend on nothing but the image.
        shortest, longest: int or None; see `decode`.

    Returns:
        `tf.data.Dataset` of (epoch, what `load` gives), `total - skip` an epoch.

    Raises:
        UserError: if no file can be decoded.
    """
    broken = BrokenFiles(strict) if broken is None else broken
    read = image_bytes(paths) if read is None else read
    check_readable(paths, read)
    (first, step), count, seed = worker, len(paths), check(seed=seed) % 2**31
    epochs = Epochs() if epochs is None else epochs
    table = path_tensor(paths)

    def begin():
        epoch = next(epochs)
        order = np.random.default_rng([seed, epoch]).permutation(count) if shuffle else np.arange(count)
        order = order[first::step]
        if skip:
            order = _after(order, skip, [paths[index] in broken.paths for index in order])
        kept = order[:0] if cache is None else _all_kept(order, total - skip, cache.known(), broken.paths, paths)
        return np.int32(epoch), (order[:0] if len(kept) else order).astype(np.int32), kept.astype(np.int32)

    def opened(epoch, order, place, index):
        """The pixels of an image, or the cache's row of it, and by how much it was shrunk."""
        end = tf.zeros([1, 1, 3] if cache is None else [cache.size, cache.size, 3], tf.uint8)
        shrunk, image = tf.cond(index < 0, lambda: (1.0, end), lambda: pixels(epoch, index))
        return order, place, epoch, index, shrunk, image

    def pixels(epoch, index):
        if cache is not None:
            found, row = tf.numpy_function(cache.get, [index], (tf.bool, tf.uint8))
            row = tf.ensure_shape(row, [cache.size, cache.size, 3])
            return 1.0, tf.cond(tf.ensure_shape(found, []), lambda: row, lambda: kept_row(epoch, index))
        contents = read(table[index], index)
        image = decode(contents, shortest=shortest, longest=longest)
        return 1.0 if longest is None else shrinkage(contents, longest), image

    def kept_row(epoch, index):
        image = decode(read(table[index], index), shortest=shortest, longest=longest)
        row = load(image, index, tf.stack([seed, epoch, index]))
        with tf.control_dependencies([tf.numpy_function(cache.put, [index, row], tf.int32)]):
            return tf.identity(row)

    def report(state, row):
        """Broken files are the places of the order that are missing; a pass ends with a place of its own."""
        (expected, whole), (order, place, *rest) = state, row
        last = place == tf.size(order)
        missing = tf.cond(
            place > expected, lambda: reported(tf.gather(table, order[expected:place]), last & ~whole), lambda: 0
        )
        with tf.control_dependencies([missing]):
            return (tf.where(last, 0, place + 1), ~last), tuple(rest)

    def reported(files, none_whole):
        return tf.ensure_shape(tf.numpy_function(broken, [files, none_whole], tf.int32), [])

    def loaded(epoch, index, shrunk, image):
        if cache is not None:
            return epoch, image
        draw = tf.stack([seed, epoch, index])
        return epoch, load(image, index, draw) if longest is None else load(image, index, draw, shrunk)

    def passes(epoch, order, kept):
        """The images of an epoch's order, again and again, with a place that is no image's after each time."""
        indices = tf.concat([order, [-1]], axis=0)
        places = tf.data.Dataset.from_tensor_slices((tf.range(tf.size(indices)), indices))
        whole = tf.data.Dataset.from_tensors((epoch, order)).repeat()
        return tf.data.Dataset.zip((whole, places.repeat()))

    def images(rows):
        # Only what goes wrong here is left out; what is wrong in `load` must be seen.
        decoded = rows.map(lambda one, other: opened(*one, *other), num_parallel_calls=tf.data.AUTOTUNE)
        decoded = decoded.ignore_errors().scan((0, False), report).filter(lambda epoch, index, *_: index >= 0)
        return decoded.take(total - skip).map(loaded, num_parallel_calls=tf.data.AUTOTUNE)

    def one_epoch(epoch, order, kept):
        return images(
            passes(epoch, order, kept).take(tf.where(tf.size(order) > 0, tf.constant(-1, tf.int64), 0))
        ).concatenate(from_cache(epoch, kept))

    def from_cache(epoch, kept):
        # Many at a time: going over to Python for each would take longer than copying it.
        indices = tf.data.Dataset.from_tensor_slices(kept).batch(64)
        blocks = indices.map(
            lambda indices: tf.numpy_function(cache.rows, [indices], tf.uint8), num_parallel_calls=tf.data.AUTOTUNE
        )
        blocks = blocks.map(lambda rows: tf.ensure_shape(rows, [None, cache.size, cache.size, 3]))
        return blocks.unbatch().map(lambda row: (epoch, row))

    start = tf.data.Dataset.from_tensors(0)
    start = start.map(lambda _: _shaped(*tf.numpy_function(begin, [], (tf.int32, tf.int32, tf.int32))))
    # Within `flat_map` reading takes a tenth more time: functions of a nested data set are prepared for each image.
    return images(start.flat_map(passes)) if cache is None else start.flat_map(one_epoch)


def read_ahead(batches):
    """Make batches in the background, on all cores.

    TensorFlow would tune how many cores and batches that takes while it runs. Here that gained nothing, and the end of
    each epoch waits for its tuner, up to a second.

    Args:
        batches: `tf.data.Dataset`.

    Returns:
        `tf.data.Dataset` of the same.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return batches.with_options(options).prefetch(2)


class Epochs:
    """Count the iterations over a data set, each of which is an epoch.

    Args:
        first: int. The epoch of the first iteration.

    Attributes:
        following: int, the epoch of the next one.
    """

    def __init__(self, first=0):
        self.following = first

    def __next__(self):
        self.following += 1
        return self.following - 1


def resumable(paths, load, finish, steps, batch_size, *, initial_epoch=0, strict=False, total=None, **options):
    """Make the `ResumableDataset` of a stream.

    Args:
        paths, load, strict, **options: see `stream`.
        finish: function of (stream, step) to the batches that begin with this step of an epoch.
        steps: int, batches an epoch.
        batch_size: int.
        initial_epoch: int, of the first iteration.
        total: int. Images an epoch; None for whole batches.

    Returns:
        `ResumableDataset`.
    """
    broken, total = BrokenFiles(strict), steps * batch_size if total is None else total

    def make(epochs, step):
        own = {"epochs": epochs, "skip": step * batch_size, "broken": broken, "strict": strict}
        batches = finish(stream(paths, total, load, **own, **options), step)
        return read_ahead(batches.apply(tf.data.experimental.assert_cardinality(steps - step)))

    # Not imported above, as it imports TensorFlow.
    module = importlib.import_module("kerassl.datasets.pipeline.resumable")
    return module.ResumableDataset(make, steps, Epochs(initial_epoch), broken)


def _after(order, skip, broken):
    """Return an order, which is read again and again, from behind the first `skip` whole files on."""
    whole = np.flatnonzero(~np.array(broken))  # places in the order
    rest = skip % len(whole)  # whole passes end where they began
    place = whole[rest - 1] + 1 if rest else 0
    return np.roll(order, -place)


def _all_kept(order, wanted, known, broken, paths):
    """The images of an order that a stream would give, where all of them are in the cache; else none."""
    there = known[order]
    given = np.flatnonzero(there)[:wanted]
    if not len(given):
        return order[:0]
    passed = range(len(order)) if len(given) < wanted else range(given[-1])
    if any(not there[place] and paths[order[place]] not in broken for place in passed):
        return order[:0]
    return order[np.resize(given, wanted)]  # where there are too few, from the beginning again


def _shaped(epoch, order, kept):
    return tf.ensure_shape(epoch, []), tf.ensure_shape(order, [None]), tf.ensure_shape(kept, [None])
