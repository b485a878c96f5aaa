"""Annotated images as batches for detectors and for the single-object localiser."""

from kerassl import _compat  # noqa: F401  # isort: skip
import numpy as np
import tensorflow as tf

from kerassl._errors import UserError
from kerassl.datasets.image_folder import check_batch_size
from kerassl.datasets.images import check_image_size, letterbox
from kerassl.datasets.stream import Epochs, broken_files, stream


def detection_batches(
    records,
    image_size,
    batch_size,
    *,
    shuffle=False,
    flip=False,
    difficult=True,
    repeat=False,
    seed=0,
    drop_remainder=False,
    strict=False,
    initial_epoch=0,
):
    """Batches of letterboxed images with all their boxes, as KerasCV's detectors take them in `fit`.

    Args:
        records: list of `Record`.
        image_size: int. Side of the square in pixels, a multiple of 32.
        batch_size: int. Images a batch.
        shuffle: bool. Another order each epoch, from `seed` and the number of the epoch.
        flip: bool. Mirror every second image at random, drawn from `seed`, the epoch and the image.
        difficult: bool. Keep the boxes of difficult objects.
        repeat: bool. Go on without end; each epoch in its own order.
        seed: int.
        drop_remainder: bool. Leave out the images that fill no batch.
        strict: bool. Stop at a broken image file; else another image takes its place, and the log names it.
        initial_epoch: int. The first iteration over the data set counts as this epoch: for a run that goes on.

    Returns:
        `tf.data.Dataset` of `{"images": [B, S, S, 3], "bounding_boxes": {"boxes": [B, M, 4], "classes": [B, M]}}`, all
        float32. Boxes are xyxy in pixels of the letterboxed image; rows without a box hold -1. Without `repeat` its
        `begin(epoch)` makes the next iteration that epoch, and its `enter(epoch, step)` gives the rest of an epoch
        without reading what comes before.

    Raises:
        UserError: if there are no records, or none of their images can be read.

    Example:
        >>> records = kerassl.datasets.voc_records("VOCdevkit", 2007, "train", count=100)
        >>> detector.fit(kerassl.datasets.detection_batches(records, 256, 8, shuffle=True, flip=True), epochs=20)
    """
    size = check_image_size(image_size)
    kept = [np.ones(len(record.classes), bool) if difficult else ~record.difficult for record in records]
    most = max([1, *(int(each.sum()) for each in kept)])
    boxes = np.full([len(kept), most, 4], -1, np.float32)
    classes = np.full([len(kept), most], -1, np.float32)
    for row, (record, keep) in enumerate(zip(records, kept)):
        boxes[row, : keep.sum()] = record.boxes[keep]
        classes[row, : keep.sum()] = record.classes[keep]
    boxes, classes = tf.constant(boxes), tf.constant(classes)

    def load(image, index, draw):
        square, placed = _letterboxed(image, boxes[index], size, draw, flip)
        real = classes[index] >= 0
        placed = tf.where(real[:, None], placed, -1.0)
        return {"images": square, "bounding_boxes": {"boxes": placed, "classes": classes[index]}}

    return _batches(records, load, batch_size, shuffle, repeat, seed, drop_remainder, strict, initial_epoch)


def single_object_batches(
    records,
    image_size,
    batch_size,
    *,
    shuffle=False,
    flip=False,
    repeat=False,
    seed=0,
    drop_remainder=False,
    strict=False,
    initial_epoch=0,
):
    """Batches of letterboxed images with their largest object, for `models.Localizer`.

    Args:
        records: list of `Record`. Those without a box that is not difficult are left out.
        image_size, batch_size, shuffle, flip, repeat, seed, drop_remainder, strict, initial_epoch: see
            `detection_batches`.

    Returns:
        `tf.data.Dataset` of (images `[B, S, S, 3]` float32, `{"class": [B] int32, "box": [B, 4] float32}`). The box is
        xyxy in units of the square's side. It has `begin` and `enter`, as that of `detection_batches`.

    Raises:
        UserError: if there are no such records, or none of their images can be read.

    Example:
        >>> localizer.fit(kerassl.datasets.single_object_batches(records, 192, 32, shuffle=True), epochs=20)
    """
    size = check_image_size(image_size)
    if records and all(record.largest() is None for record in records):
        raise UserError(f"none of {len(records)} images has an object that is not difficult; give images with one")
    records = [record for record in records if record.largest() is not None]
    boxes = tf.constant(np.array([record.boxes[record.largest()] for record in records], np.float32).reshape(-1, 4))
    classes = tf.constant(np.array([record.classes[record.largest()] for record in records], np.int32))

    def load(image, index, draw):
        square, placed = _letterboxed(image, boxes[index][None], size, draw, flip)
        return square, {"class": classes[index], "box": placed[0] / size}

    return _batches(records, load, batch_size, shuffle, repeat, seed, drop_remainder, strict, initial_epoch)


def _letterboxed(image, boxes, size, draw, flip):
    if flip:
        # Mirrored before it is letterboxed: the picture must stay at the left.
        mirrored = tf.random.stateless_uniform([], tf.random.experimental.stateless_fold_in(draw[:2], draw[2])) < 0.5
        width = tf.cast(tf.shape(image)[1], tf.float32)
        image = tf.cond(mirrored, lambda: image[:, ::-1], lambda: image)
        x0, y0, x1, y1 = tf.unstack(boxes, axis=-1)
        boxes = tf.where(mirrored, tf.stack([width - x1, y0, width - x0, y1], axis=-1), boxes)
    square, scale = letterbox(image, size)
    return square, boxes * scale


def _batches(records, load, batch_size, shuffle, repeat, seed, drop_remainder, strict, initial_epoch):
    if not records:
        raise UserError("there are no annotated images to make batches of; give the records of voc_records")
    batch_size = check_batch_size(batch_size)
    steps = len(records) // batch_size if drop_remainder else -(-len(records) // batch_size)
    if not steps:
        raise UserError(
            f"{len(records)} images do not fill one batch of {batch_size}; give a batch_size of at most {len(records)}"
        )
    found = broken_files(strict)

    def batches(epochs, skipped):
        rows = stream(
            [record.path for record in records],
            min(steps * batch_size, len(records)),
            load,
            shuffle=shuffle,
            seed=seed,
            strict=strict,
            epochs=epochs,
            skip=skipped * batch_size,
            broken=found,
        )
        batches = rows.map(lambda epoch, item: item).batch(batch_size, drop_remainder=drop_remainder)
        batches = batches.apply(tf.data.experimental.assert_cardinality(steps - skipped))
        if repeat:
            batches = batches.repeat()
        return batches.prefetch(tf.data.AUTOTUNE)

    def enter(epoch, step, broken=()):
        found.paths.update(map(str, broken))
        return batches(Epochs(epoch), step)

    epochs = Epochs(initial_epoch)
    made = batches(epochs, 0)
    if not repeat:  # what `callbacks.Resume` and `callbacks.StopAtNaN` need; without end there is no epoch to enter
        made.steps, made.begin, made.enter = steps, epochs.begin, enter
        made.broken = lambda: sorted(found.paths)
    return made
