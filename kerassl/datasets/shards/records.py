"""The labels that stand in shards."""

import os
import pathlib

import numpy as np

from kerassl._errors import UserError
from kerassl._lazy import tf
from kerassl.datasets.formats.findings import Findings
from kerassl.datasets.images.faults import fault
from kerassl.datasets.images.image_bytes import example_bytes
from kerassl.datasets.record import Named, Record
from kerassl.datasets.shards.example import label_features
from kerassl.datasets.shards.index import open_index
from kerassl.datasets.subset import subset


def shard_classes(folder):
    """The class names of labeled shards, as `shard_records` numbers them.

    Args:
        folder: str or `pathlib.Path`.

    Returns:
        List of str.

    Raises:
        UserError: if the folder holds no whole shards, or they have no labels.

    Example:
        >>> detector = kerassl.detectors.retinanet(backbone, classes=kerassl.datasets.shard_classes("shards"))
    """
    return _labeled(folder)[1]


def shard_records(folder, *, fraction=None, count=None, stratified=True, seed=0, strict=False):
    """Reads the labels that `write_shards` packed along with the images.

    The records are those that were packed, but for their paths: each names a place in a shard, where
    `detection_batches`, `single_object_batches`, `read_image` and all that predicts find the image. Where images were
    stored smaller, size and boxes are those of the stored image. All shards are read through once; records whose
    checksum is wrong are left out and named in the log.

    Args:
        folder: str or `pathlib.Path`, written by `write_shards` with records.
        fraction, count, stratified, seed: see `voc_records`; of all images in the shards. Of whole splits without
            broken files they choose the images that `voc_records` does.
        strict: bool. Stop at the first damaged record.

    Returns:
        List of `Record`, sorted by image id. Masks are not packed.

    Raises:
        UserError: if the folder holds no whole shards, they have no labels, or all are damaged; with `strict`, for
            every damaged record.

    Example:
        >>> records = kerassl.datasets.shard_records("shards", fraction=0.1)
        >>> detector.fit(kerassl.datasets.detection_batches(records, 256, 8, shuffle=True), epochs=20)
    """
    index, classes = _labeled(folder)
    names = index.names(pathlib.Path(folder))
    read = example_bytes(names)

    def labels(place):
        return place, tf.io.parse_single_example(read(None, place), label_features())

    rows = tf.data.Dataset.range(len(names)).map(labels, num_parallel_calls=tf.data.AUTOTUNE).ignore_errors()
    rows, records, findings = dict(rows.as_numpy_iterator()), {}, Findings(strict)
    for place, name in enumerate(names):
        wrong = fault(name) if place not in rows else _wrong(rows[place], len(classes))
        if wrong is not None:
            findings.broken(f"{name} {wrong}")
            continue
        record = _record(name, rows[place], tuple(classes))
        if record.image_id in records:
            findings.broken(f"{name} has the image id {record.image_id} of {records[record.image_id].path}")
            continue
        records[record.image_id] = record
    if not records:
        raise UserError(
            f"none of {len(names)} records in {folder} can be read; start write_shards again, which mends them"
        )
    held = {each: {classes[label] for label in record.classes[~record.crowd]} for each, record in records.items()}
    chosen = subset(list(records), fraction=fraction, count=count, seed=seed, labels=held if stratified else None)
    return [records[each] for each in chosen]


def _labeled(folder):
    index = open_index(folder)
    if index.classes is None:
        raise UserError(
            f"the shards in {folder} hold images without labels; write new ones of records (kerassl shards --voc), or "
            "read them with datasets.shards"
        )
    return index, list(index.classes)


def _wrong(row, classes):
    """What is wrong with labels that were read, in words that go after the record's name, or None."""
    boxes, labels = row["image/object/bbox/pixels"], row["image/object/class/label"]
    counts = {len(boxes), len(labels), len(row["image/object/difficult"])}
    if len(counts | {len(row["image/object/is_crowd"]) or len(boxes)}) > 1:  # shards of an earlier version have none
        return f"is damaged: it has {len(boxes)} boxes and {len(labels)} labels"
    if min(row["image/height"], row["image/width"]) < 1:
        return f"is damaged: its image is {row['image/width']}x{row['image/height']}"
    beyond = [label for label in labels.tolist() if not 1 <= label <= classes]
    if beyond:
        return f"is damaged: it has class {beyond[0]} of {classes}"
    if not np.isfinite(boxes).all():
        return "is damaged: a box is not finite"
    return None


def _record(name, row, names):
    crowd = row["image/object/is_crowd"].astype("bool")
    classes = row["image/object/class/label"].astype("int32") - 1
    return Record(
        image_id=os.fsdecode(row["image/source_id"]),
        path=name,
        height=int(row["image/height"]),
        width=int(row["image/width"]),
        boxes=row["image/object/bbox/pixels"],
        classes=classes,
        difficult=row["image/object/difficult"].astype("bool"),
        crowd=crowd if len(crowd) else None,
        named=Named(names, classes),
    )
