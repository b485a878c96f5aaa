"""Boxes of a localizer, in pixels of the original images."""

import numpy as np

from kerassl._compat import tf
from kerassl.detectors.localizer.frozen_features import check_backbone
from kerassl.detectors.localizer.head import feature_head


def located(model, images, scales, sizes):
    """Locate the object of each image of a batch as `locate` does, in NumPy.

    Returns:
        Boxes `[B, 1, 4]` float32, scores `[B, 1]` float32 (the probability of the class), classes `[B, 1]` int32,
        counts `[B]` (all 1), and logits `[B, 1, C]` float32.
    """
    return _best(*(part.numpy() for part in _function(model)(images, scales, sizes)))


def located_on_features(model, features, batch_size):
    """Locate the object of each image of `FrozenFeatures`, without running the backbone again.

    Yields:
        Tuples of the indices of the images and what `located` returns.
    """
    check_backbone(features, model.backbone, model.image_size, model.levels)
    run = _on_maps(feature_head(model, [level.shape[2:] for level in features.maps]), model.image_size)
    sizes = np.array([(record.height, record.width) for record in features.records], np.float32)
    first = 0
    for maps, _ in features.batches(batch_size):
        places = np.arange(first, min(first + batch_size, len(sizes)))
        first += batch_size
        scales = features.image_size / sizes[places].max(1)
        yield places, *_best(*(part.numpy() for part in run(maps, tf.constant(scales), tf.constant(sizes[places]))))


def _best(boxes, logits):
    chances = tf.nn.softmax(logits).numpy()
    classes = chances.argmax(-1).astype("int32")[:, None]
    scores = np.take_along_axis(chances, classes, -1)
    return boxes[:, None], scores, classes, np.ones(len(boxes), int), logits[:, None]


def _on_maps(head, image_size):
    """The graph of one batch of feature maps; traced once for a head."""
    functions = head.__dict__.setdefault("_localize", {})  # hidden from Keras
    if image_size not in functions:
        shapes = [tf.TensorSpec([None, *each.shape[1:]]) for each in head.inputs]
        signature = [tuple(shapes), tf.TensorSpec([None]), tf.TensorSpec([None, 2])]

        @tf.function(input_signature=signature)
        def run(maps, scales, sizes):
            return _in_pixels(image_size, head(list(maps)), scales, sizes)

        functions[image_size] = run.get_concrete_function()  # as in `_function`
    return functions[image_size]


def locate(model, images, scales, sizes):
    """Locate objects in pixels of the images before letterboxing, in the graph.

    Args:
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

    # Hidden from Keras, which would look into it when the model is saved. The graph, not the function: TensorFlow
    # counts the tracings of all models' functions together, and warns of the fifth.
    model.__dict__["_localize"] = run.get_concrete_function()
    return model.__dict__["_localize"]
