"""A trained model as a SavedModel for TensorFlow Serving."""

import json
import pathlib

import keras
import tensorflow as tf

from kerassl import _compat, _files
from kerassl._errors import UserError
from kerassl._version import __version__
from kerassl.backbones import check_image_size
from kerassl.datasets import letterbox
from kerassl.detectors import Detector
from kerassl.detectors.decoding import detect
from kerassl.models import Localizer, SimCLR
from kerassl.models.localizer_predictions import locate


def export(model, path, *, image_size=None, score_threshold=0.01, iou_threshold=0.5, max_detections=100):
    """Writes a SavedModel whose `serving_default` takes a batch of images and does all the rest in its graph.

    Input `images`: `[B, H, W, 3]` float32 in [0, 255], of any size; the signature `serving_uint8` takes uint8. The
    images of a batch share a size; they are letterboxed inside the graph, and boxes are xyxy in pixels of the images
    as they were given. The outputs:

    - of a detector: `boxes` `[B, max_detections, 4]`, `scores` `[B, max_detections]`, `classes` int32 and
      `class_names` string of the same shape, by falling score, and `num_detections` int32 `[B]`. Rows from there on
      are 0 (and an empty name).
    - of a localiser: `box` `[B, 4]`, `probabilities` `[B, C]`, `class` int32 `[B]`, `class_name` string `[B]`.
    - of `SimCLR` or a backbone: `embeddings` `[B, D]`, the pooled features.

    The graph holds no random augmentation and nothing that only XLA can run. A `model_card.json` and the class names,
    one a line, stand in `assets.extra/`.

    Args:
        model: `Detector`, as `detectors.retinanet` or `detectors.yolov8` gives it, `models.Localizer`, `SimCLR`, or a
            backbone.
        path: str or `pathlib.Path` of the new folder. TensorFlow Serving wants `<name>/<version number>`.
        image_size: int, the letterbox's side in pixels, a multiple of 32, for embeddings. None takes the model's own,
            which a backbone has not.
        score_threshold, iou_threshold, max_detections: of a detector, those of `detectors.predict`.

    Returns:
        `path` as `pathlib.Path`.

    Raises:
        UserError: if something stands at `path`, the model is none of those, or the image size is missing or no
            multiple of 32.

    Example:
        >>> kerassl.serving.export(detector, "serving/voc/1")
        >>> servable = tf.saved_model.load("serving/voc/1").signatures["serving_default"]
        >>> servable(images=tf.cast(images, tf.float32))["num_detections"]
    """
    settings = (score_threshold, iou_threshold, max_detections)
    kind, size, answer = _answer(model, image_size, settings)
    card = {
        "kind": kind,
        "image_size": size,
        "classes": list(getattr(model, "classes", [])),
        "input": "images [B, H, W, 3] in [0, 255], float32 (serving_default) or uint8 (serving_uint8)",
        "boxes": "xyxy in pixels of the images as given",
        "kerassl": __version__,
        "keras": _compat.KERAS_VERSION,
        "tensorflow": tf.__version__,
    }
    if kind == "detector":
        card.update(zip(("score_threshold", "iou_threshold", "max_detections"), settings))

    def serve(images):
        boxed, scales = _letterboxed(images, size)
        height_width = tf.cast(tf.shape(images)[1:3], tf.float32)
        return answer(boxed, scales, tf.tile(height_width[None], [tf.shape(images)[0], 1]))

    module = tf.Module()
    signatures = {}
    for name, dtype in (("serving_default", tf.float32), ("serving_uint8", tf.uint8)):
        spec = tf.TensorSpec([None, None, None, 3], dtype, name="images")
        signatures[name] = tf.function(serve).get_concrete_function(spec)
    # Not the Keras model itself: its saver would also trace training, with the compiled layers and the random views.
    module.weights = list(signatures["serving_default"].variables)
    with _files.whole(path, replace=False) as part:
        tf.saved_model.save(module, str(part), signatures=signatures)
        extra = part / "assets.extra"
        extra.mkdir()
        (extra / "model_card.json").write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", "utf-8")
        if card["classes"]:
            (extra / "classes.txt").write_text("\n".join(card["classes"]) + "\n", "utf-8")
    return pathlib.Path(path)


def _answer(model, image_size, settings):
    """What kind of model it is, its image size, and its function of letterboxed images, scales and sizes."""
    if isinstance(model, (Detector, Localizer)) and image_size not in (None, model.image_size):
        raise UserError(f"image_size is {image_size}, but the model was trained for {model.image_size}; leave it out")
    if isinstance(model, Detector):
        return "detector", model.image_size, _detector(model, settings)
    if isinstance(model, Localizer):
        return "localizer", model.image_size, _localizer(model)
    backbone = model.backbone if isinstance(model, SimCLR) else model
    if not isinstance(backbone, keras.Model) or len(getattr(backbone, "output_shape", ())) != 4:
        raise UserError(
            f"{type(model).__name__} cannot be exported; give a detector, a Localizer, a SimCLR model or a backbone"
        )
    size = image_size or getattr(model, "image_size", None)
    if size is None:
        raise UserError("a backbone is of no image size of its own; give image_size, as 224")
    return "embedding", check_image_size(size), _embedding(backbone)


def _detector(model, settings):
    names = tf.constant(list(model.classes))

    def answer(images, scales, sizes):
        boxes, scores, classes, counts = detect(model, images, scales, sizes, *settings)
        found = tf.sequence_mask(counts, tf.shape(classes)[1])
        return {
            "boxes": boxes,
            "scores": scores,
            "classes": classes,
            "class_names": tf.where(found, tf.gather(names, classes), ""),
            "num_detections": counts,
        }

    return answer


def _localizer(model):
    names = tf.constant(list(model.classes))

    def answer(images, scales, sizes):
        boxes, logits = locate(model, images, scales, sizes)
        label = tf.argmax(logits, -1, output_type=tf.int32)
        probabilities = tf.nn.softmax(logits)
        return {"box": boxes, "probabilities": probabilities, "class": label, "class_name": tf.gather(names, label)}

    return answer


def _embedding(backbone):
    def answer(images, scales, sizes):
        del scales, sizes
        return {"embeddings": tf.reduce_mean(tf.cast(backbone(images, training=False), tf.float32), [1, 2])}

    return answer


def _letterboxed(images, size):
    return tf.map_fn(
        lambda image: letterbox(image, size),
        images,
        fn_output_signature=(tf.TensorSpec([size, size, 3]), tf.TensorSpec([])),
    )
