"""The labels in shards as records."""

import os
import pathlib

import numpy as np

from kerassl._errors import UserError
from kerassl._lazy import tf
from kerassl.datasets.formats.findings import Findings
from kerassl.datasets.images.faults import fault
from kerassl.datasets.images.files import by_file_name
from kerassl.datasets.images.image_bytes import example_bytes
from kerassl.datasets.images.shard_index import open_index
from kerassl.datasets.record import Named, Record
from kerassl.datasets.shards.example import label_features


def read_shards(folder, strict):
    """Read the labels in shards; see `DetectionDataset.from_shards`. All shards are read through once.

    Returns:
        List of `Record`, and list of class names.
    """
    folder = pathlib.Path(folder)
    index = open_index(folder)
    if index.classes is None:
        raise UserError(
            f"the shards in {folder} hold images without labels; write new ones of labeled images (kerassl shards "
            "--data), or read them with datasets.image_folder"
        )
    names, classes = index.names(folder), tuple(index.classes)
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
        record = _record(name, rows[place], classes)
        if record.image_id in records:
            findings.broken(f"{name} has the image id {record.image_id} of {records[record.image_id].path}")
            continue
        records[record.image_id] = record
    if not records:
        raise UserError(
            f"none of {len(names)} records in {folder} can be read; start write_shards again, which repairs them"
        )
    return by_file_name(list(records.values())), classes


def _wrong(row, classes):
    """Return the problem of labels that were read, in words that go after the record's name, or None."""
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
        file=os.fsdecode(row["image/filename"]) or None,
    )
