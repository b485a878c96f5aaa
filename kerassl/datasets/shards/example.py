"""One image and its labels as a record of a shard."""

import os

import numpy as np

from kerassl._lazy import tf


def label_features():
    """Return the features with which `tf.io.parse_single_example` reads the labels, without the image."""
    many = {"allow_missing": True}
    return {
        "image/source_id": tf.io.FixedLenFeature([], tf.string),
        "image/filename": tf.io.FixedLenFeature([], tf.string, ""),
        "image/height": tf.io.FixedLenFeature([], tf.int64),
        "image/width": tf.io.FixedLenFeature([], tf.int64),
        "image/object/bbox/pixels": tf.io.FixedLenSequenceFeature([4], tf.float32, **many),
        "image/object/class/label": tf.io.FixedLenSequenceFeature([], tf.int64, **many),
        "image/object/difficult": tf.io.FixedLenSequenceFeature([], tf.int64, **many),
        "image/object/is_crowd": tf.io.FixedLenSequenceFeature([], tf.int64, **many),
    }


def shard_example(path, contents, stored, original, record=None, classes=()):
    """Make a record. Its features have the names of TensorFlow's Object Detection API.

    As there, classes are counted from 1 and boxes are shares of the sides. Shares do not lead back to the pixel; so
    boxes are there a second time as `image/object/bbox/pixels`, four numbers each, xyxy.

    Args:
        path: str, the file that the image was read from.
        contents: bytes of the image as it is stored.
        stored: (height, width) of the stored image in pixels, as displayed.
        original: (height, width) of the image that the record's boxes are on.
        record: `Record`, or None where there are no labels.
        classes: sequence of str, the names of its classes.

    Returns:
        Bytes, a serialized `tf.train.Example`.
    """
    features = {
        "image/encoded": _texts([contents]),
        "image/filename": _texts([os.fsencode((record and record.file) or path)]),
        "image/height": _numbers(stored[:1]),
        "image/width": _numbers(stored[1:]),
    }
    if record is not None:
        boxes = scaled_boxes(record.boxes, original, stored)
        x0, y0, x1, y1 = (boxes / np.tile(stored[::-1], 2)).T
        features |= {
            "image/source_id": _texts([os.fsencode(record.image_id)]),
            "image/original/height": _numbers(original[:1]),
            "image/original/width": _numbers(original[1:]),
            "image/object/bbox/pixels": _floats(boxes.ravel()),
            "image/object/bbox/xmin": _floats(x0),
            "image/object/bbox/ymin": _floats(y0),
            "image/object/bbox/xmax": _floats(x1),
            "image/object/bbox/ymax": _floats(y1),
            "image/object/class/label": _numbers(record.classes + 1),
            "image/object/class/text": _texts(
                [classes[label].encode("utf-8", "backslashreplace") for label in record.classes]
            ),
            "image/object/difficult": _numbers(record.difficult),
            "image/object/is_crowd": _numbers(record.crowd),
        }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def scaled_boxes(boxes, before, after):
    """Scale boxes along with their image.

    Args:
        boxes: `[n, 4]` array, xyxy in continuous pixels.
        before, after: (height, width) of the image in pixels. Each side has its own scale: both are rounded.

    Returns:
        `[n, 4]` float32 array. The same to the bit where the size is.
    """
    wide = np.tile(np.array(after[::-1], np.float64), 2)
    return (np.asarray(boxes, np.float64) * wide / np.tile(before[::-1], 2)).astype(np.float32)


def _texts(values):
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


def _numbers(values):
    return tf.train.Feature(int64_list=tf.train.Int64List(value=[int(value) for value in values]))


def _floats(values):
    return tf.train.Feature(float_list=tf.train.FloatList(value=[float(value) for value in values]))
