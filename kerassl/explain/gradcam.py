"""Grad-CAM of classifiers, localisers and detectors."""

import keras
import numpy as np
import tensorflow as tf

from kerassl import backbones
from kerassl._errors import UserError
from kerassl.backbones.pyramid import LEVELS

# Models of the library return dicts; this is what each calls its class scores.
_CLASS_OUTPUTS = ("class", "classification")


class GradCAM:
    """Heatmaps of the image regions that raise the score of a class, by tf-keras-vis.

    The channels of a feature map are summed with the mean gradient of the class score as weights; what is negative
    counts as 0. The map is resized bilinearly with the centres of its cells on the centres of the image regions
    that they stand for, and divided by its highest value.

    The score of a class is its logit. A detector has one for each anchor: the highest counts, so that the heatmap
    explains the detector's best find of the class, not the many anchors that see background. (YOLOV8's anchors are
    cells.)

    Args:
        model: `models.Localizer`, a detector of `detectors`, or a flat functional `keras.Model` from images
            `[B, H, W, 3]` to logits `[B, C]`. Give logits: a softmax that is sure has no gradient left.
        layer: str or None. The feature map: `"P3"`, `"P4"`, `"P5"` of the backbone or the name of a layer. None takes
            the last feature map of the backbone (P5). Finer levels show more detail and are noisier.

    Call arguments:
        images: `[B, H, W, 3]` or `[H, W, 3]` in [0, 255], letterboxed as the model was trained. uint8 or float.
        class_id: int, `[B]` array of int, or None for each image's best-scoring class.

    Returns:
        `[B, H, W]` float32 array in [0, 1] (B is 1 for a single image). All 0 where nothing speaks for the class.

    Raises:
        UserError: if the model has no class scores, the layer is not in its graph or does not lead to the scores, the
            images do not fit, or `class_id` is no class.

    Example:
        >>> heat = kerassl.explain.GradCAM(detector)(image, class_id=7)
        >>> heat.shape
        (1, 256, 256)

    Reference:
        Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization", 2017.
    """

    def __init__(self, model, *, layer=None):
        self.model = model
        # Only the layers between images and class scores: one output asks for one score function.
        self._scorer = keras.Model(model.inputs[0], _class_output(model), name=f"{model.name}_scores")
        self.layer = _layer_name(model, self._scorer, layer)

    def __call__(self, images, class_id=None, *, batch_size=16):
        images = _batch(images, self.model)
        classes = _class_ids(class_id, len(images), self._scorer.output.shape[-1])
        parts = [
            self._heatmaps(images[start : start + batch_size], classes[start : start + batch_size])
            for start in range(0, len(images), batch_size)
        ]
        return np.concatenate(parts)

    def _heatmaps(self, images, classes):
        from tf_keras_vis.gradcam import Gradcam  # slow to import, and scipy's with it

        def score(output):
            per_class = output if len(output.shape) == 2 else tf.reduce_max(output, axis=1)  # [B, C]
            best = tf.argmax(per_class, axis=1, output_type=tf.int32)
            return tf.gather(per_class, tf.where(classes < 0, best, classes), batch_dims=1)  # [B]

        # Its own enlargement puts the centres of the outer cells onto the image's border: half a cell too far out.
        maps = Gradcam(self._scorer)(
            score,
            tf.constant(images),
            penultimate_layer=self.layer,
            seek_penultimate_conv_layer=False,
            expand_cam=False,
            normalize_cam=False,
        )  # [B, h, w]
        maps = tf.cast(tf.convert_to_tensor(maps), tf.float32)
        maps = tf.image.resize(maps[..., None], images.shape[1:3])[..., 0]
        return tf.math.divide_no_nan(maps, tf.reduce_max(maps, axis=[1, 2], keepdims=True)).numpy()


def _class_output(model):
    output = model.output
    if isinstance(output, dict):
        output = next((output[name] for name in _CLASS_OUTPUTS if name in output), None)
    if not hasattr(output, "shape") or len(output.shape) not in (2, 3):
        raise UserError(
            f"the model {model.name!r} has no class scores to explain; give one whose output is logits [batch, "
            "classes], or a dict with 'class' or 'classification', as Localizer and detectors make them"
        )
    return output


def _layer_name(model, scorer, layer):
    feature_maps = [one.name for one in scorer.layers if _is_feature_map(one)]
    if layer in LEVELS or (layer is None and hasattr(model, "backbone")):
        name = backbones.pyramid(getattr(model, "backbone", scorer))[layer or "P5"]
    elif layer is None:
        name = feature_maps[-1] if feature_maps else None
    else:
        name = layer
    if name in feature_maps:
        return name
    nested = [one.name for one in scorer.layers if isinstance(one, keras.Model)]
    hint = (
        f"; {nested[0]!r} is a model within the model, which Grad-CAM cannot see into: make it flat" if nested else ""
    )
    last = f" (the last is {feature_maps[-1]!r})" if feature_maps else ""
    raise UserError(
        f"{name!r} is no feature map on the way from the images to the class scores of {model.name!r}; give 'P3', "
        f"'P4', 'P5' or the name of one of its {len(feature_maps)} layers that are{last}{hint}"
    )


def _is_feature_map(layer):
    shape = getattr(layer.output, "shape", ())  # a list where a layer has several outputs
    return (
        not isinstance(layer, keras.Model) and len(shape) == 4 and shape[1] != 1 and "Input" not in type(layer).__name__
    )


def _batch(images, model):
    images = np.asarray(images, np.float32)
    images = images[None] if images.ndim == 3 else images
    if images.ndim != 4 or images.shape[-1] != 3 or not images.size:
        raise UserError(f"images are {images.shape}; give [batch, height, width, 3] or [height, width, 3] in [0, 255]")
    if hasattr(model, "image_size"):
        for side in images.shape[1:3]:
            backbones.check_image_size(side)
    return images


def _class_ids(class_id, count, classes):
    """`[B]` int32; -1 stands for the best-scoring class."""
    if class_id is None:
        return np.full(count, -1, np.int32)
    ids = np.asarray(class_id)
    if ids.ndim > 1 or (ids.ndim == 1 and len(ids) != count) or ids.dtype.kind not in "iu":
        raise UserError(f"class_id is {class_id}; give None, a whole number or one for each of the {count} images")
    if ids.min(initial=0) < 0 or ids.max(initial=0) >= classes:
        raise UserError(f"class_id is {class_id}, but the model has {classes} classes, 0 to {classes - 1}")
    return np.broadcast_to(ids, [count]).astype(np.int32)
