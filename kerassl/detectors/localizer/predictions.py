"""Boxes of a localiser, in pixels of the original images."""

import numpy as np
import tensorflow as tf
import tqdm

from kerassl.datasets.pipeline.letterboxed import identified, letterboxed_batches
from kerassl.detectors.localizer.feature_head import feature_head
from kerassl.detectors.localizer.frozen_features import FrozenFeatures, check_backbone
from kerassl.metrics import Predictions


def localizer_predictions(model, images, *, batch_size=32, strict=False, verbose=0):
    """Names and finds the one object of each image file.

    Args:
        model: `Localizer`.
        images: list of `datasets.Record`s, or a folder, a file or a list of those; or `FrozenFeatures` of the model's
            backbone, whose images are not run through the network again.
        batch_size: int. Does not change the result.
        strict: bool. Stop at a file that cannot be read.
        verbose: 0 or 1. Whether to show a progress bar.

    Returns:
        `metrics.Predictions`, a dict with the names of the classes: from image id (a record's own; the path as str of
        a file) to `{"boxes": float32 [1, 4] xyxy in pixels of the original image, "scores": float32 [1], the class's
        probability, "classes": int32 [1]}`, as `detectors.predict` gives it; and the logits `[N, C]` float32 in the
        order of the images. A broken file is named in the log and missing from both.

    Raises:
        UserError: if a path does not exist, no image can be read, or the features are those of another backbone.

    Example:
        >>> predictions, logits = kerassl.detectors.localizer_predictions(localizer, records)
    """
    if isinstance(images, FrozenFeatures):
        ids = [record.image_id for record in images.records]
        batches = _from_features(model, images, batch_size)
    else:
        ids, paths = identified(images)
        batches = _from_images(model, paths, batch_size, strict)
    predictions, logits = Predictions((), model.class_names), []
    with tqdm.tqdm(total=len(ids), desc="predict", unit="image", disable=not verbose) as bar:
        for places, boxes, some in batches:
            logits.append(some)
            chances = tf.nn.softmax(some).numpy()
            for place, box, chance in zip(places, boxes, chances):
                best = int(chance.argmax())
                predictions[ids[place]] = {
                    "boxes": box[None].copy(),
                    "scores": chance[best : best + 1].copy(),
                    "classes": np.array([best], "int32"),
                }
            bar.update(len(places))
    return predictions, np.concatenate(logits)


def _from_images(model, paths, batch_size, strict):
    run = _function(model)
    for places, pictures, scales, sizes in letterboxed_batches(paths, model.image_size, batch_size, strict=strict):
        yield places, *(part.numpy() for part in run(pictures, scales, sizes))


def _from_features(model, features, batch_size):
    check_backbone(features, model.backbone, model.image_size, model.levels)
    run = _on_maps(feature_head(model, features), model.image_size)
    sizes = np.array([(record.height, record.width) for record in features.records], np.float32)
    first = 0
    for maps, _ in features.batches(batch_size):
        places = np.arange(first, min(first + batch_size, len(sizes)))
        first += batch_size
        scales = features.image_size / sizes[places].max(1)
        yield places, *(part.numpy() for part in run(maps, tf.constant(scales), tf.constant(sizes[places])))


def _on_maps(head, image_size):
    """The graph of one batch of feature maps; traced once for a head."""
    functions = head.__dict__.setdefault("_localize", {})  # past Keras
    if image_size not in functions:
        shapes = [tf.TensorSpec([None, *each.shape[1:]]) for each in head.inputs]
        signature = [tuple(shapes), tf.TensorSpec([None]), tf.TensorSpec([None, 2])]

        @tf.function(input_signature=signature)
        def run(maps, scales, sizes):
            return _in_pixels(image_size, head(list(maps)), scales, sizes)

        functions[image_size] = run.get_concrete_function()  # as in `_function`
    return functions[image_size]


def locate(model, images, scales, sizes):
    """The localiser's answer in pixels of the images before letterboxing, in the graph.

    Args:
        model: `Localizer`.
        images: `[B, S, S, 3]` float32 in [0, 255], letterboxed to the model's `image_size`.
        scales: `[B]` float32, letterboxed over original pixels.
        sizes: `[B, 2]` float32, height and width of the originals in pixels.

    Returns:
        Boxes `[B, 4]` float32 xyxy, clipped to the image, and logits `[B, C]` float32.
    """
    return _in_pixels(model.image_size, model(images, training=False), scales, sizes)


def _in_pixels(image_size, outputs, scales, sizes):
    limits = tf.concat([sizes[:, ::-1], sizes[:, ::-1]], -1)  # width, height, width, height
    boxes = tf.cast(outputs["box"], tf.float32) * image_size / scales[:, None]
    return tf.clip_by_value(boxes, 0.0, limits), tf.cast(outputs["class"], tf.float32)


def _function(model):
    """The graph of one batch, of any size; traced once for a model, which takes seconds."""
    if "_localize" in model.__dict__:
        return model.__dict__["_localize"]
    side = model.image_size

    @tf.function(
        input_signature=[tf.TensorSpec([None, side, side, 3]), tf.TensorSpec([None]), tf.TensorSpec([None, 2])]
    )
    def run(images, scales, sizes):
        return locate(model, images, scales, sizes)

    # Past Keras, which would look into it when the model is saved. The graph, not the function: TensorFlow counts the
    # tracings of all models' functions together, and warns of the fifth.
    model.__dict__["_localize"] = run.get_concrete_function()
    return model.__dict__["_localize"]
