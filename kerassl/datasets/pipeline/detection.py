"""Annotated images as batches for detectors and for the single-object localizer."""

from __future__ import annotations

import math
import os
import typing
from collections.abc import Mapping, Sequence

import numpy as np

from kerassl._errors import UserError
from kerassl._lazy import tf
from kerassl._numbers import check
from kerassl.augment.box_weights import COLUMNS, BoxWeights
from kerassl.datasets.images.image_bytes import image_bytes
from kerassl.datasets.pipeline.erase import erased_regions, paint_over
from kerassl.datasets.pipeline.stream import number_of_steps, resumable
from kerassl.datasets.record import Record
from kerassl.resizing import check_image_size, letterbox

if typing.TYPE_CHECKING:
    from kerassl.augment import BoxAugmentation
    from kerassl.datasets.pipeline.resumable import ResumableDataset

# JPEGs are shrunk while they are decoded to no less than this multiple of the letterbox's side, to keep detail.
_SPARE = 2


def detection_batches(
    records: Sequence[Record],
    image_size: int,
    batch_size: int,
    *,
    shuffle: bool = False,
    flip: bool = False,
    augmentation: BoxAugmentation | None = None,
    erase: str | os.PathLike | Mapping | Sequence | None = None,
    difficult: bool = True,
    seed: int = 0,
    drop_remainder: bool = False,
    strict: bool = False,
    initial_epoch: int = 0,
) -> ResumableDataset:
    """Make batches of letterboxed images with all their boxes, for the `fit` of a detector.

    Args:
        records: sequence of `Record`, as a `DetectionDataset`. Crowd regions are left out.
        image_size: int. Side of the square in pixels, a multiple of 32.
        batch_size: int. Images a batch.
        shuffle: bool. Another order each epoch, from `seed` and the number of the epoch.
        flip: bool. Mirror every second image at random, drawn from `seed`, the epoch and the image.
        augmentation: `augment.BoxAugmentation`, which mirrors too, or None. Its draws too are of `seed`, the
            epoch and the image; a mosaic's other images are of the same batch.
        erase: regions that are painted over in every image with its mean color, whatever its class, before it is
            mirrored or augmented, or None: a file as `kerassl audit` writes `regions.json`, or the content of one, as
            `{"horse": [[0.05, 0.84, 0.4, 1.0]]}`, xyxy in shares of the image's width and height. Boxes stay.
        difficult: bool. Keep the boxes of difficult objects.
        seed: int.
        drop_remainder: bool. Leave out the images that fill no batch.
        strict: bool. Stop at a broken image file; else another image takes its place, and the log names it.
        initial_epoch: int. The first iteration over the data set counts as this epoch: for a run that is resumed.

    Returns:
        `ResumableDataset` of `{"images": [B, S, S, 3], "bounding_boxes": {"boxes": [B, M, 4], "classes": [B, M]}}`, all
        float32. Boxes are xyxy in pixels of the letterboxed image; rows without a box hold -1. `M` is the most boxes
        that a record has, and with mosaics the most that four records have together. Where a record has `weights`,
        the boxes have `weight`, `box_weight`, `ignore`, `background` and `center` beside them, as of
        `detectors.label_weights.Labels`; a box of such a record that augmentation cuts off is ignored, not dropped.

    Raises:
        UserError: if there are no records, none of their images can be read, `flip` is given with an augmentation,
            mosaics with batches of fewer than four images, or `erase` holds no regions.

    Example:
        >>> train = kerassl.datasets.DetectionDataset.from_voc("VOCdevkit", 2007, "train")
        >>> detector.fit(kerassl.datasets.detection_batches(train, 256, 8, shuffle=True, flip=True), epochs=20)
    """
    check(seed=seed)
    size, batch_size = check_image_size(image_size), check(batch_size=batch_size)
    _check_flip(flip, augmentation)
    erased = erased_regions(erase)
    kept = [~(record.crowd if difficult else record.crowd | record.difficult) for record in records]
    most = max([1, *(int(each.sum()) for each in kept)])
    boxes = np.full([len(kept), most, 4], -1, np.float32)
    classes = np.full([len(kept), most], -1, np.float32)
    for row, (record, keep) in enumerate(zip(records, kept)):
        boxes[row, : keep.sum()] = record.boxes[keep]
        classes[row, : keep.sum()] = record.classes[keep]
    weights = _weights(records, kept, most)
    boxes, classes = tf.constant(boxes), tf.constant(classes)

    def load(image, index, draw, shrunk):
        square, placed = _letterboxed(paint_over(image, erased), boxes[index] / shrunk, size, draw, flip)
        real = classes[index] >= 0
        own = weights and BoxWeights(*(each[index] for each in weights)).whole(size)
        return _batch(square, tf.where(real[:, None], placed, -1.0), classes[index], own)

    def place(image, index, draw, shrunk):
        placed = augmentation.place(paint_over(image, erased), boxes[index] / shrunk, size, draw)
        return placed, classes[index], *(weights and (BoxWeights(*(each[index] for each in weights)),))

    def finish(placed, classes, own=None):
        return _batch(*augmentation.finish(placed, classes, rows, own))

    order = (shuffle, seed, drop_remainder, strict, initial_epoch)
    if augmentation is None:
        return _batches(records, load, _SPARE * size, batch_size, *order)
    if augmentation.mosaic and batch_size < 4:
        raise UserError(f"a mosaic is of four images, but batch_size is {batch_size}; give 4 or more, or mosaic=0")
    # A mosaic's four images are different ones.
    together = sum(sorted(int(each.sum()) for each in kept)[-4:])
    rows = max(1, together) if augmentation.mosaic else most
    return _batches(records, place, max(_SPARE, augmentation.enlargement) * size, batch_size, *order, finish)


def single_object_batches(
    records: Sequence[Record],
    image_size: int,
    batch_size: int,
    *,
    shuffle: bool = False,
    flip: bool = False,
    augmentation: BoxAugmentation | None = None,
    erase: str | os.PathLike | Mapping | Sequence | None = None,
    seed: int = 0,
    drop_remainder: bool = False,
    strict: bool = False,
    initial_epoch: int = 0,
) -> ResumableDataset:
    """Make batches of letterboxed images with their largest object, for the `fit` of a `detectors.Localizer`.

    Args:
        records: sequence of `Record`, as a `DetectionDataset`. Those without a box that is not difficult are left out.
        augmentation: `augment.BoxAugmentation` without mosaics, or None. The object stays by at least the share
            `min_visibility` of its area: 0.7 and more suit a localizer.
        image_size, batch_size, shuffle, flip, erase, seed, drop_remainder, strict, initial_epoch: see
            `detection_batches`.

    Returns:
        `ResumableDataset` of (images `[B, S, S, 3]` float32, `{"class": [B] int32, "box": [B, 4] float32}`). The box is
        xyxy in units of the square's side.

    Raises:
        UserError: if there are no such records, none of their images can be read, `flip` is given with an
            augmentation, the augmentation makes mosaics, or `erase` holds no regions.

    Example:
        >>> localizer.fit(kerassl.datasets.single_object_batches(train, 192, 32, shuffle=True), epochs=20)
    """
    check(seed=seed)
    size, batch_size = check_image_size(image_size), check(batch_size=batch_size)
    _check_flip(flip, augmentation)
    erased = erased_regions(erase)
    if augmentation is not None and augmentation.mosaic:
        raise UserError(f"mosaic is {augmentation.mosaic:g}, but a mosaic has several objects; give mosaic=0")
    if records and all(record.largest() is None for record in records):
        raise UserError(f"none of {len(records)} images has an object that is not difficult; give images with one")
    records = [record for record in records if record.largest() is not None]
    boxes = tf.constant(np.array([record.boxes[record.largest()] for record in records], np.float32).reshape(-1, 4))
    classes = tf.constant(np.array([record.classes[record.largest()] for record in records], np.int32))

    def load(image, index, draw, shrunk):
        square, placed = _letterboxed(paint_over(image, erased), boxes[index][None] / shrunk, size, draw, flip)
        return square, {"class": classes[index], "box": placed[0] / size}

    def place(image, index, draw, shrunk):
        return augmentation.place(paint_over(image, erased), boxes[index][None] / shrunk, size, draw), classes[index]

    def finish(placed, classes):
        # The whole image was taken where no crop shows enough of the object, so that something is left of it always.
        images, _, _ = augmentation.finish(placed, tf.cast(classes, tf.float32)[:, None])
        low, high = tf.tile(placed.region[:, :2], [1, 2]), tf.tile(placed.region[:, 2:], [1, 2])
        return images, {"class": classes, "box": tf.clip_by_value(placed.boxes[:, 0], low, high) / size}

    order = (shuffle, seed, drop_remainder, strict, initial_epoch)
    if augmentation is None:
        return _batches(records, load, _SPARE * size, batch_size, *order)
    return _batches(records, place, max(_SPARE, augmentation.enlargement) * size, batch_size, *order, finish)


def _check_flip(flip, augmentation):
    if flip and augmentation is not None:
        raise UserError("flip is given with an augmentation, which mirrors too; leave flip out")


def _batch(images, boxes, classes, weights=None):
    return {"images": images, "bounding_boxes": {"boxes": boxes, "classes": classes, **(weights or {})}}


def _weights(records, kept, most):
    """The `BoxWeights` of all records as constants, or () where none has weights."""
    if all(record.weights is None for record in records):
        return ()
    boxes = np.zeros([len(kept), most, len(COLUMNS)], np.float32)
    boxes[..., :2] = 1
    background = np.ones([len(kept)], np.float32)
    for row, (record, keep) in enumerate(zip(records, kept)):
        own = record.weights
        if own is not None:
            columns = (own.weight[keep], own.box_weight[keep], own.ignore[keep], np.ones(keep.sum()))
            boxes[row, : keep.sum()] = np.stack(columns, -1)
            background[row] = own.background
    return BoxWeights(tf.constant(boxes), tf.constant(background))


def _letterboxed(image, boxes, size, draw, flip):
    if flip:
        # Mirrored before it is letterboxed: the image must stay at the left.
        mirrored = tf.random.stateless_uniform([], tf.random.experimental.stateless_fold_in(draw[:2], draw[2])) < 0.5
        width = tf.cast(tf.shape(image)[1], tf.float32)
        image = tf.cond(mirrored, lambda: tf.reverse(image, [1]), lambda: image)
        x0, y0, x1, y1 = tf.unstack(boxes, axis=-1)
        boxes = tf.where(mirrored, tf.stack([width - x1, y0, width - x0, y1], axis=-1), boxes)
    square, scale = letterbox(image, size)
    return square, boxes * scale


def _batches(records, load, longest, batch_size, shuffle, seed, drop_remainder, strict, initial_epoch, finish=None):
    if not records:
        raise UserError("there are no annotated images to make batches of; give a DetectionDataset")
    steps = number_of_steps(len(records), batch_size, drop_remainder=drop_remainder)
    paths = [record.path for record in records]

    def batches(rows, step):
        made = rows.map(lambda epoch, item: item).batch(batch_size, drop_remainder=drop_remainder)
        return made if finish is None else made.map(finish, num_parallel_calls=tf.data.AUTOTUNE)

    return resumable(
        paths,
        load,
        batches,
        steps,
        batch_size,
        total=min(steps * batch_size, len(records)),
        shuffle=shuffle,
        seed=seed,
        strict=strict,
        initial_epoch=initial_epoch,
        read=image_bytes(paths),
        longest=math.ceil(longest),
    )
