"""Square photographs in batches, wherever they are read from."""

from kerassl._errors import UserError
from kerassl._lazy import tf
from kerassl._numbers import check
from kerassl.datasets.pipeline.row_cache import RowCache
from kerassl.datasets.pipeline.stream import Epochs, broken_files, check_worker, read_ahead, stream
from kerassl.resizing import centre_crop, check_image_size


def photograph_batches(
    paths,
    image_size,
    batch_size,
    *,
    augmentation,
    shuffle,
    seed,
    drop_remainder,
    strict,
    initial_epoch,
    worker,
    cache,
    identity,
    read=None,
):
    """What `image_folder` and `shards` have in common.

    Args:
        paths: list of different str, one an image.
        identity: function without arguments that gives what tells these images from others, for the cache.
        read: see `stream`.
        image_size, batch_size, augmentation, shuffle, seed, drop_remainder, strict, initial_epoch, worker, cache: see
            `image_folder`.

    Returns:
        `tf.data.Dataset` with the attributes `steps`, `begin`, `enter` and `broken`, which `callbacks.Resume` needs.

    Raises:
        UserError: see `image_folder`.
    """
    size, batch_size, seed = check_image_size(image_size), check_batch_size(batch_size), check(seed=seed) % 2**31
    index, workers = check_worker(worker)
    if workers > 1 and not drop_remainder:
        raise UserError("workers need equally many whole batches; leave drop_remainder=False out")
    share = len(paths) // workers
    steps = share // batch_size if drop_remainder else -(-share // batch_size)
    if not steps:
        of = f" on each of {workers} workers" if workers > 1 else ""
        fact = f"{len(paths)} images do not fill one batch of {batch_size}{of}"
        raise UserError(
            f"{fact}; give a batch_size of at most {share}, or more images",
            f"{fact}; give --batch-size {share} or less, or more images",
        )
    total = min(steps * batch_size, share)
    found = broken_files(strict)
    rows = None if cache is None else RowCache(cache, identity(), len(paths), size)

    def load(image, index, draw):
        return tf.cast(tf.round(centre_crop(image, size)), tf.uint8)  # [S, S, 3], the same from a cache

    def batches(epochs, skipped):
        images = stream(
            paths,
            total,
            load,
            shuffle=shuffle,
            seed=seed,
            strict=strict,
            epochs=epochs,
            skip=skipped * batch_size,
            broken=found,
            worker=(index, workers),
            read=read,
            cache=rows,
            shortest=size,
        )
        batches = images.batch(batch_size, drop_remainder=drop_remainder)
        wanted = getattr(augmentation, "image_dtype", tf.float32)
        batches = batches.map(lambda epochs, images: (epochs, tf.cast(images, wanted)))
        if augmentation is None:
            batches = batches.map(lambda epochs, images: images)
        else:
            batches = batches.enumerate(start=skipped).map(
                lambda step, row: augmentation(row[1], tf.stack([seed, number(row[0][0], tf.cast(step, tf.int32))]))
            )
        known = tf.data.experimental.assert_cardinality(steps - skipped)
        return read_ahead(batches.apply(known))

    def number(epoch, step):
        return (epoch * steps + step) * workers + index

    epochs = Epochs(initial_epoch)

    def enter(epoch, step, broken=()):
        found.paths.update(map(str, broken))
        return batches(Epochs(epoch), step)

    images = batches(epochs, 0)
    # What `callbacks.Resume` needs: a data set has no place for it but its attributes.
    images.steps, images.begin, images.enter = steps, epochs.begin, enter
    images.broken = lambda: sorted(found.paths)
    return images


def check_batch_size(batch_size):
    """Refuses what is no number of images.

    Args:
        batch_size: int.

    Returns:
        `batch_size`.

    Raises:
        UserError: if it is no whole number above 0.
    """
    return check(batch_size=batch_size)
