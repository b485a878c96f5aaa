"""Detections of a model, in pixels of the original images."""

from __future__ import annotations

import os
import typing
from collections.abc import Iterator, Sequence

import numpy as np
import tqdm

from kerassl import _compat, backbones
from kerassl._compat import keras, tf
from kerassl._errors import UserError
from kerassl._numbers import COUNT, SHARE, SHARE_BELOW_1
from kerassl.datasets.pipeline.letterboxed import arrays_of, identified, letterboxed_batches
from kerassl.datasets.record import Record
from kerassl.detectors.decoding import detect
from kerassl.detectors.localizer.frozen_features import FrozenFeatures
from kerassl.detectors.localizer.localizer import Localizer
from kerassl.detectors.localizer.predictions import located, located_on_features
from kerassl.detectors.self_training.merging import merge_mirrored
from kerassl.resizing import letterbox
from kerassl.types import Detections

Images = str | os.PathLike | np.ndarray | Sequence[str | os.PathLike | Record | np.ndarray]
"""Images as `predict` takes them."""


def predict(
    model: keras.Model,
    images: Images | FrozenFeatures,
    *,
    score_threshold: float = 0.01,
    iou_threshold: float = 0.5,
    max_detections: int = 100,
    batch_size: int | None = None,
    strict: bool = False,
    verbose: int = 1,
) -> dict[str, Detections]:
    """Detect objects in images.

    A `Localizer` gives one box an image, whatever the thresholds.

    Args:
        model: `Detector` or `Localizer`.
        images: list of `datasets.Record`s; a folder, a file or a list of those; an array `[H, W, 3]` or `[N, H, W, 3]`
            of values in [0, 255], or a list of arrays; or of a `Localizer` `FrozenFeatures` of its backbone.
        score_threshold: float in [0, 1). Lower scores are dropped. 0.01 is for average precision, which needs the
            unlikely ones too; 0.3 to 0.5 for drawing.
        iou_threshold: float in [0, 1]. Of two boxes of a class that overlap more, the lower score is dropped.
        max_detections: int, for an image.
        batch_size: int. Does not change the result. None takes 8 images, and 32 for a `Localizer`.
        strict: bool. Stop at a file that cannot be read.
        verbose: 0 or 1. Whether to show a progress bar.

    Returns:
        Dict from image id (a record's own; the path as str of a file; the index as str of an array) to `Detections`
        with the model's class names, by falling score; of a `Localizer` with `logits`. A broken file is named in the
        log and missing.

    Raises:
        UserError: if the model is not a detector, a path does not exist, there is no image, none can be read (with
            `strict`, one cannot), or a threshold is out of range.

    Example:
        >>> val = kerassl.datasets.DetectionDataset.from_voc("VOCdevkit", split="val")
        >>> found = kerassl.detectors.predict(detector, val)
        >>> found["000007"].boxes
    """
    _check(model, score_threshold, iou_threshold, max_detections)
    if isinstance(images, FrozenFeatures) and not isinstance(model, Localizer):
        raise UserError("frozen features are for a Localizer; give a Detector images")
    batch_size = batch_size or _batch_size(model)
    if isinstance(images, FrozenFeatures):
        ids = [record.image_id for record in images.records]
        batches = located_on_features(model, images, batch_size)
    else:
        ids, read = _read(images, model.image_size, batch_size, strict)
        find = _finder(model, score_threshold, iou_threshold, max_detections, False)
        batches = ((places, *find(model, *batch)) for places, *batch in read)
    names, detections = tuple(model.class_names), {}
    with tqdm.tqdm(total=len(ids), desc="predict", unit="image", disable=not verbose) as bar:
        for places, *batch in batches:
            for place, *found in zip(places, *batch):
                detections[ids[place]] = _one(names, *found)
            bar.update(len(places))
    return detections


class PredictedBatch(typing.NamedTuple):
    """Predictions of `predict_batches` for some images.

    Attributes:
        places: `[B]` int array, the images' places in the list of paths.
        detections: list of `Detections`.
        sizes: `[B, 2]` float32 array, height and width of the images.
        end: int, the place in the list where the next batch begins.
        agreements: list of arrays of `self_training.merge_mirrored`, or None without `mirror`.
        features: `[B, C]` float32 array, or None where they were not asked for.
    """

    places: np.ndarray
    detections: list[Detections]
    sizes: np.ndarray
    end: int
    agreements: list[np.ndarray] | None = None
    features: np.ndarray | None = None


def predict_batches(
    model: keras.Model,
    paths: Sequence[str] | Sequence[np.ndarray],
    *,
    first: int = 0,
    score_threshold: float = 0.01,
    iou_threshold: float = 0.5,
    max_detections: int = 100,
    mirror: bool = False,
    features: bool = False,
) -> Iterator[PredictedBatch]:
    """Detect objects in images, a batch at a time, as `predict` does.

    Args:
        model: `Detector` or `Localizer`.
        paths: sequence of str, of files or of images in shards; or of `[H, W, 3]` arrays of values in [0, 255].
        first: int, 0 or the `end` of a batch of the same paths. The place to begin at.
        score_threshold, iou_threshold, max_detections: see `predict`.
        mirror: bool. Also detect in the mirror images, which takes twice as long, and merge; of a `Detector`.
        features: bool. Also return the mean over the locations of the backbone's last feature map, from the same
            pass through the network; of a `Detector`.

    Yields:
        `PredictedBatch`. Broken files are named in the log and missing.

    Raises:
        UserError: if the model is not a detector, or a threshold is out of range.

    Example:
        >>> for batch in kerassl.detectors.predict_batches(detector, kerassl.datasets.image_files("photos")):
        ...     print(len(batch.detections))
    """
    _check(model, score_threshold, iou_threshold, max_detections)
    if (mirror or features) and isinstance(model, Localizer):
        raise UserError("mirror and features are for a Detector; leave them out for a Localizer")
    find = _finder(model, score_threshold, iou_threshold, max_detections, features)
    names, size = tuple(model.class_names), _batch_size(model)
    arrays = arrays_of(paths)
    if arrays is None:
        read = letterboxed_batches(paths, model.image_size, size, mirrored=mirror, first=first, required=False)
    else:
        read = _letterboxed(arrays, model.image_size, size, mirror, first)
    for places, images, scales, sizes in read:
        views = tf.unstack(images, axis=1) if mirror else [images]
        outputs = [find(model, view, scales, sizes) for view in views]
        pooled = [output.pop() for output in outputs] if features else [None]
        found = [[_one(names, *one) for one in zip(*output)] for output in outputs]
        agreements = None
        if mirror:
            merged = [merge_mirrored(*each) for each in zip(found[0], found[1], sizes.numpy()[:, 1])]
            found, agreements = [[one for one, _ in merged]], [agreement for _, agreement in merged]
        # What is found in an image depends on its batch in the last bits: none begins within another.
        end = first + (int(places[0] - first) // size + 1) * size
        yield PredictedBatch(places, found[0], sizes.numpy(), min(end, len(paths)), agreements, pooled[0])


def _batch_size(model):
    return 32 if isinstance(model, Localizer) else 8


def _check(model, score_threshold, iou_threshold, max_detections):
    if not SHARE_BELOW_1.fits(score_threshold) or not SHARE.fits(iou_threshold) or not COUNT.fits(max_detections):
        raise UserError(
            f"score_threshold is {score_threshold}, iou_threshold {iou_threshold}, max_detections {max_detections}; "
            "the thresholds are in [0, 1] and max_detections is 1 or more"
        )
    if not isinstance(model, Localizer) and not hasattr(model, "boxes_and_scores"):
        raise UserError(f"{type(model).__name__} is not a detector; give a Detector or a Localizer")


def _finder(model, *settings):
    """A function of a model and a batch; `settings` are those of `decode`, and whether it also returns features."""
    return located if isinstance(model, Localizer) else _detected(model, settings)


def _one(names, boxes, scores, classes, count=None, logits=None):
    """The detections of an image, without the padding of its batch."""
    found = [values[:count].copy() for values in (boxes, scores, classes)]
    return Detections(*found, names, logits)


def _read(images, image_size, batch_size, strict):
    """Ids, and batches as `letterboxed_batches` yields them."""
    arrays = arrays_of(images)
    if arrays is None:
        ids, paths = identified(images)
        return ids, letterboxed_batches(paths, image_size, batch_size, strict=strict)
    return [str(number) for number in range(len(arrays))], _letterboxed(arrays, image_size, batch_size)


def _letterboxed(arrays, image_size, batch_size, mirrored=False, begin=0):
    for first in range(begin, len(arrays), batch_size):
        some = arrays[first : first + batch_size]
        images, scales = zip(*(letterbox(image, image_size) for image in some))
        if mirrored:
            images = [tf.stack([one, letterbox(image[:, ::-1], image_size)[0]]) for one, image in zip(images, some)]
        sizes = tf.constant([image.shape[:2] for image in some], tf.float32)
        yield np.arange(first, first + len(some)), tf.stack(images), tf.stack(scales), sizes


def _detected(model, settings):
    run = _function(model, settings)
    return lambda model, *batch: [part.numpy() for part in run(*batch)]


def _function(model, settings):
    """The graph of one batch, of any size; traced once for a model and its settings, which takes seconds."""
    # Hidden from Keras, which would take the dict for a part of the model to be saved.
    functions = model.__dict__.setdefault("_detect", {})
    if settings in functions:
        return functions[settings]
    side, (*thresholds, features) = model.image_size, settings
    if features:
        last = model.get_layer(backbones.pyramid(model.backbone)["P5"]).output
        network = keras.Model(model.inputs, [model.output, last])

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, side, side, 3]), tf.TensorSpec([None]), tf.TensorSpec([None, 2])
        ],
        autograph=_compat.AUTOGRAPH,
    )  # fmt: skip
    def run(images, scales, sizes):
        if not features:
            return detect(model, images, scales, sizes, *thresholds)
        outputs, last = network(images, training=False)
        pooled = tf.reduce_mean(tf.cast(last, tf.float32), [1, 2])
        return *detect(model, images, scales, sizes, *thresholds, outputs=outputs), pooled

    # The graph, not the function: TensorFlow counts the tracings of all models' functions together, and warns.
    functions[settings] = run.get_concrete_function()
    return functions[settings]
