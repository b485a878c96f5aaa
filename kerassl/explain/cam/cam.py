"""The base of all class activation maps: models, layers, classes, boxes, batches."""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np
import tqdm

from kerassl import backbones
from kerassl._compat import keras, tf
from kerassl._errors import UserError
from kerassl._graphs import graph_of
from kerassl.boxes import box_iou
from kerassl.detectors.pseudo_boxes.heatmaps import enlarge
from kerassl.resizing import check_image_size
from kerassl.types import LEVELS

# Models of the library return dicts; this is what each calls its class scores.
_CLASS_OUTPUTS = ("class", "classification")


class CAM:
    """Base of class activation maps (CAMs) by tf-keras-vis; see `GradCAM`."""

    def __init__(self, model: keras.Model, *, layer: str | None = None) -> None:
        self.model = model
        # Only the layers between images and class scores: one output asks for one score function.
        self._scorer = keras.Model(model.inputs[0], class_output(model), name=f"{model.name}_scores")
        self.layer = layer_name(model, self._scorer, layer, unused=getattr(model, "unused", ()))

    def __call__(
        self,
        images: np.ndarray,
        class_id: int | np.ndarray | None = None,
        *,
        boxes: np.ndarray | None = None,
        batch_size: int = 16,
        verbose: int = 0,
    ) -> np.ndarray:
        images = image_batch(images, self.model)
        classes = class_ids(class_id, len(images), self._scorer.output.shape[-1])
        boxes = _check_boxes(boxes, len(images), self.model)
        parts = []
        with tqdm.tqdm(total=len(images), desc="heatmaps", unit="image", disable=not verbose) as bar:
            for start in range(0, len(images), batch_size):
                rows = slice(start, start + batch_size)
                parts.append(self._heatmaps(images[rows], classes[rows], None if boxes is None else boxes[rows]))
                bar.update(len(parts[-1]))
        return np.concatenate(parts)

    def _heatmaps(self, images, classes, boxes):
        pick = _Pick(self._scorer(images, training=False), classes, self._anchors(images, boxes))
        maps = tf.cast(tf.convert_to_tensor(self._maps(tf.constant(images), pick)), tf.float32)  # [B, h, w]
        return enlarge(maps, images.shape[1:3])

    def _anchors(self, images, boxes):
        """Return for each image the anchor whose box overlaps the given one most, or None."""
        if boxes is None:
            return None
        found, _ = self.model.boxes_and_scores(self.model(images, training=False))
        overlaps = np.stack([box_iou(each, box)[:, 0] for each, box in zip(found.numpy(), boxes)])  # [B, A]
        if (missed := np.flatnonzero(np.max(overlaps, axis=1) == 0)).size:
            raise UserError(
                f"no anchor's box touches the box {boxes[missed[0]].tolist()} of image {missed[0]}; boxes are xyxy in "
                "pixels of the letterboxed image"
            )
        return np.argmax(overlaps, axis=1).astype(np.int32)

    def _maps(self, images, score):
        """Maps `[B, h, w]` that are not negative, from `images` `[B, H, W, 3]` and a function from outputs to `[B]`."""
        raise NotImplementedError


class _Pick:
    """The score that is explained: from class scores `[B, C]` or `[B, A, C]` to `[B]`."""

    def __init__(self, output, classes, anchors):
        self._anchors = anchors
        best = tf.argmax(self._per_class(output), axis=1, output_type=tf.int32)
        self._classes = tf.where(classes < 0, best, classes)

    def __call__(self, output):
        return tf.gather(self._per_class(output), self._classes, batch_dims=1)

    def of(self, row, output):
        """The score of the class of image `row` in outputs `[N, C]` of that image alone."""
        return output[:, self._classes[row]]

    def _per_class(self, output):
        if len(output.shape) == 2:
            return output
        if self._anchors is None:
            return tf.reduce_max(output, axis=1)
        return tf.gather(output, self._anchors, batch_dims=1)


def class_output(model: keras.Model) -> keras.KerasTensor:
    """Return the symbolic class scores of a model, `[B, C]` logits or, of a detector, `[B, A, C]`."""
    output = model.output
    if isinstance(output, dict):
        output = next((output[name] for name in _CLASS_OUTPUTS if name in output), None)
    if not hasattr(output, "shape") or len(output.shape) not in (2, 3):
        raise UserError(
            f"the model {model.name!r} has no class scores to explain; give one whose output is logits [batch, "
            "classes], or a dict with 'class' or 'classification', as Localizer and detectors make them"
        )
    return output


def class_probabilities(model: keras.Model) -> Callable:
    """Return a compiled function from images to class scores `[B, C]` in [0, 1]: of a detector each class's highest."""
    output = class_output(model)
    graph = keras.Model(model.inputs[0], output)

    def score(images):
        found = tf.cast(graph(images, training=False), tf.float32)
        return tf.nn.softmax(found) if len(output.shape) == 2 else tf.reduce_max(tf.sigmoid(found), axis=1)

    return graph_of(score, reduce_retracing=True)


def levels_of(model: keras.Model) -> tuple[str, ...]:
    """Return the pyramid levels that a model uses."""
    unused = getattr(model, "unused", ())
    layers = backbones.pyramid(getattr(model, "backbone", model))
    return tuple(level for level in LEVELS if layers[level] not in unused)


def layer_name(model: keras.Model, graph: keras.Model, layer: str | None, unused: Collection[str] = ()) -> str:
    """Return the layer of `graph` of a feature map: of a level, a layer's name, or None for the last."""
    feature_maps = [one.name for one in graph.layers if _is_feature_map(one) and one.name not in unused]
    name: str | None
    if layer in LEVELS or (layer is None and hasattr(model, "backbone")):
        layers = backbones.pyramid(getattr(model, "backbone", graph))
        name = layers[layer or [level for level in LEVELS if layers[level] not in unused][-1]]
    elif layer is None:
        name = feature_maps[-1] if feature_maps else None
    else:
        name = layer
    if name is not None and name in feature_maps:
        return name
    nested = [one.name for one in graph.layers if isinstance(one, keras.Model)]
    hint = (
        f"; {nested[0]!r} is a model within the model, which Grad-CAM cannot see into: make it flat" if nested else ""
    )
    last = f" (the last is {feature_maps[-1]!r})" if feature_maps else ""
    levels = levels_of(model) if unused else LEVELS
    raise UserError(
        f"{name!r} is no feature map on the way from the images to the class scores of {model.name!r}; give "
        f"{', '.join(map(repr, levels))} or the name of one of its {len(feature_maps)} layers that are{last}{hint}"
    )


def _is_feature_map(layer):
    shape = getattr(layer.output, "shape", ())  # a list where a layer has several outputs
    return (
        not isinstance(layer, keras.Model) and len(shape) == 4 and shape[1] != 1 and "Input" not in type(layer).__name__
    )


def image_batch(images: np.ndarray, model: keras.Model) -> np.ndarray:
    """Return images as `[B, H, W, 3]` float32, of a size that the model takes."""
    images = np.asarray(images, np.float32)
    images = images[None] if images.ndim == 3 else images
    if images.ndim != 4 or images.shape[-1] != 3 or not images.size:
        raise UserError(f"images are {images.shape}; give [batch, height, width, 3] or [height, width, 3] in [0, 255]")
    if hasattr(model, "image_size"):
        for side in images.shape[1:3]:
            check_image_size(side)
    return images


def class_ids(class_id: int | np.ndarray | None, count: int, classes: int) -> np.ndarray:
    """Return `[B]` int32; -1 is the best-scoring class."""
    if class_id is None:
        return np.full(count, -1, np.int32)
    ids = np.asarray(class_id)
    if ids.ndim > 1 or (ids.ndim == 1 and len(ids) != count) or ids.dtype.kind not in "iu":
        raise UserError(f"class_id is {class_id}; give None, a whole number or one for each of the {count} images")
    if ids.min(initial=0) < 0 or ids.max(initial=0) >= classes:
        raise UserError(f"class_id is {class_id}, but the model has {classes} classes, 0 to {classes - 1}")
    return np.broadcast_to(ids, [count]).astype(np.int32)


def _check_boxes(boxes, count, model):
    if boxes is None:
        return None
    if not hasattr(model, "boxes_and_scores"):
        raise UserError(f"boxes are given, but {model.name!r} is no detector of kerassl; leave them out")
    boxes = np.asarray(boxes, np.float32)
    boxes = boxes[None] if boxes.ndim == 1 else boxes
    if boxes.shape != (count, 4):
        raise UserError(f"boxes are {boxes.shape}; give one box [x0, y0, x1, y1] for each of the {count} images")
    if not np.isfinite(boxes).all() or (boxes[:, 2:] <= boxes[:, :2]).any():
        raise UserError("a box has no area; give xyxy in pixels of the letterboxed image")
    return boxes
