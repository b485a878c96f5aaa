"""PASCAL VOC as tensorflow-datasets keeps it."""

from kerassl._errors import UserError
from kerassl._lazy import tf
from kerassl._numbers import check
from kerassl.datasets.formats.voc_classes import VOC_CLASSES
from kerassl.datasets.image_folder import check_batch_size
from kerassl.datasets.images.decoding import decode
from kerassl.datasets.pipeline.stream import read_ahead
from kerassl.resizing import check_image_size, letterbox

NAMES = ("voc/2007", "voc/2012")
_WINDOW = 2048  # images that are shuffled at a time, as files: about 200 MB of VOC


def tfds(name="voc/2007", split="train", *, data_dir=None, image_size, batch_size, shuffle=False, seed=0):
    """Batches of a VOC data set prepared by tensorflow-datasets, as KerasCV's detectors take them in `fit`.

    The boxes are the same as those of `voc`: tensorflow-datasets keeps VOC's corners as they are, counted from 1, and
    the pixel is taken off here. Difficult objects are kept, as `voc` does. Nothing is downloaded.

    Args:
        name: str, "voc/2007" or "voc/2012".
        split: str in the language of tensorflow-datasets, as "train", "validation", "train+validation", "train[:10%]".
        data_dir: str, `pathlib.Path` or None. The folder of prepared data sets; None is tensorflow-datasets' own.
        image_size: int. Side of the square in pixels, a multiple of 32.
        batch_size: int. Images a batch.
        shuffle: bool. Another order each pass, drawn among 2,048 images at a time.
        seed: int. Of the order.

    Returns:
        `tf.data.Dataset` of `{"images": [B, S, S, 3], "bounding_boxes": {"boxes": [B, M, 4], "classes": [B, M]}}`, all
        float32. Boxes are xyxy in pixels of the letterboxed image; rows without a box hold -1. `M` is the most that an
        image of the batch has, and at least 1.

    Raises:
        UserError: if the name or the split is not known, or the data set is not prepared in `data_dir`.

    Example:
        >>> detector.fit(kerassl.datasets.tfds("voc/2007", "train", image_size=256, batch_size=8, shuffle=True))
    """
    check(seed=seed)
    size, batch_size = check_image_size(image_size), check_batch_size(batch_size)
    dataset = _open(name, split, data_dir)
    if shuffle:
        dataset = dataset.shuffle(_WINDOW, seed=seed, reshuffle_each_iteration=True)
    dataset = dataset.map(lambda example: _example(example, size), num_parallel_calls=tf.data.AUTOTUNE)
    padding = {"images": 0.0, "bounding_boxes": {"boxes": -1.0, "classes": -1.0}}
    return read_ahead(dataset.padded_batch(batch_size, padding_values=padding))


def _open(name, split, data_dir):
    """The examples with their images still JPEG, of which a shuffle can hold six times as many."""
    import tensorflow_datasets  # slow to import, and needed by nobody else

    if name not in NAMES:
        raise UserError(f"name is {name!r}; give {' or '.join(NAMES)}")
    builder = tensorflow_datasets.builder(name, data_dir=data_dir)
    labels = builder.info.features["objects"]["label"].names
    if tuple(labels) != VOC_CLASSES:
        raise UserError(
            f"{name} of this tensorflow-datasets has the classes {labels} in another order than VOC_CLASSES"
        )
    try:
        decoders = {"image": tensorflow_datasets.decode.SkipDecoding()}
        return builder.as_dataset(split=split, decoders=decoders)
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


def _example(example, size):
    image = decode(example["image"], turned=False)  # as the boxes are
    height, width = (tf.cast(tf.shape(image)[side], tf.float32) for side in (0, 1))
    top, left, bottom, right = tf.unstack(example["objects"]["bbox"], axis=-1)  # each [n], as a share of the sides
    # VOC counts pixels from 1 and means its corners inclusive, so that only the first corner moves.
    x0, y0 = tf.maximum(left * width - 1, 0), tf.maximum(top * height - 1, 0)
    x1, y1 = tf.minimum(right * width, width), tf.minimum(bottom * height, height)
    image, scale = letterbox(image, size)
    boxes = tf.stack([x0, y0, x1, y1], axis=-1) * scale  # [n, 4]
    kept = tf.reduce_all(boxes[:, 2:] > boxes[:, :2], axis=-1)  # whose area is left in float32
    boxes = tf.boolean_mask(boxes, kept)
    classes = tf.boolean_mask(tf.cast(example["objects"]["label"], tf.float32), kept)
    # One row at least, so that a batch in which no image has an object is not empty along M.
    missing = tf.maximum(0, 1 - tf.shape(classes)[0])
    boxes = tf.pad(boxes, [[0, missing], [0, 0]], constant_values=-1.0)
    classes = tf.pad(classes, [[0, missing]], constant_values=-1.0)
    return {"images": image, "bounding_boxes": {"boxes": boxes, "classes": classes}}
