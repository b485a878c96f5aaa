"""PASCAL VOC as tensorflow-datasets keeps it."""

import io
import os
import pathlib

import numpy as np

from kerassl._errors import UserError
from kerassl.datasets.formats.annotation import AnnotatedObject, box_text, displayed_size, make_record
from kerassl.datasets.formats.findings import Findings
from kerassl.datasets.formats.voc import VOC_CLASSES
from kerassl.datasets.images.files import by_file_name
from kerassl.datasets.images.reading import read_header

SPLITS = {"voc/2007": ("train", "val", "test"), "voc/2012": ("train", "val")}
"""The splits of each data set that can be read, by its name; what is "val" here is "validation" there."""


def read_tfds(name, split, data_dir, strict):
    """Read a VOC data set; see `DetectionDataset.from_tfds`.

    Returns:
        List of `Record`, whose paths are places in the TFRecord files of tensorflow-datasets.
    """
    import tensorflow_datasets  # slow to import, and needed by nobody else

    if name not in SPLITS:
        raise UserError(f"name is {name!r}; give {' or '.join(SPLITS)}")
    builder = tensorflow_datasets.builder(name, data_dir=None if data_dir is None else str(data_dir))
    labels = builder.info.features["objects"]["label"].names
    if tuple(labels) != VOC_CLASSES:
        raise UserError(
            f"{name} of this tensorflow-datasets has the classes {labels} in another order than VOC_CLASSES"
        )
    if builder.info.file_format is not tensorflow_datasets.core.FileFormat.TFRECORD:
        raise UserError(f"{name} is prepared as {builder.info.file_format.value} files; prepare it as tfrecord")
    try:
        examples = builder.as_dataset(
            split=split,
            decoders={"image": tensorflow_datasets.decode.SkipDecoding()},
            read_config=tensorflow_datasets.ReadConfig(add_tfds_id=True, try_autocache=False),
        )
    except AssertionError:  # what tensorflow-datasets raises where there is no data
        where = "" if data_dir is None else f", data_dir={str(data_dir)!r}"
        raise UserError(
            f"{name} is not prepared in {builder.data_path.parent.parent.parent}; prepare it once with "
            f"tensorflow_datasets.builder({name!r}{where}).download_and_prepare(), or name its folder as data_dir"
        ) from None
    except (KeyError, ValueError) as error:
        known = ", ".join(sorted(builder.info.splits)) or "none"
        reason = str(error).strip("'\"").splitlines()[0]
        raise UserError(f"{name} gives no split {split!r} ({reason}); its splits are {known}") from None
    findings, folder = Findings(strict), pathlib.Path(builder.data_path)
    records, names = [], []
    for example in examples.as_numpy_iterator():
        name = os.fsdecode(example["image/filename"])
        record = _record(example, name, folder, findings)
        if record is not None:
            records.append(record)
            names.append(name)
    findings.report()
    return by_file_name(records, names)


def _record(example, name, folder, findings):
    file, _, number = example["tfds_id"].decode().rpartition("__")
    path = f"{folder / file}#{number}"
    header = read_header(io.BytesIO(example["image"]))
    if header is None:
        findings.broken(f"{path} ({name}) is no image that can be read")
        return None
    top, left, bottom, right = example["objects"]["bbox"].T  # float32, each [n], as a share of the stored sides
    # VOC counts pixels from 1 and its corners are inclusive, so that only the first corner moves.
    height, width = np.float32(header.height), np.float32(header.width)
    boxes = np.stack([left * width - 1, top * height - 1, right * width, bottom * height], axis=-1)
    boxes = np.clip(boxes, 0, [width, height, width, height])
    labels = example["objects"]["label"].tolist()
    objects = [
        AnnotatedObject(label, tuple(box), bool(difficult), f"{path}, {VOC_CLASSES[label]} {box_text(box)}")
        for label, box, difficult in zip(labels, boxes.tolist(), example["objects"]["is_difficult"])
    ]
    stored = (header.width, header.height)
    image_id = os.path.splitext(name)[0]
    return make_record(image_id, path, displayed_size(header), objects, stored, findings, path, VOC_CLASSES)
