"""A trained detector or localizer as a TFLite (LiteRT) file, for phones and small boards."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import pathlib
import tempfile
import time
from collections.abc import Mapping
from typing import Any

from kerassl import _compat
from kerassl._compat import tf
from kerassl._errors import UserError
from kerassl._io import files as _files
from kerassl._lazy import keras
from kerassl._version import __version__
from kerassl.backbones import weights as backbone_weights
from kerassl.detectors import Detector, Localizer
from kerassl.detectors.decoding import CANDIDATES, clipped
from kerassl.detectors.localizer.predictions import locate

PRECISIONS = ("float32", "float16")


def export_tflite(
    model: keras.Model,
    path: str | os.PathLike,
    *,
    precision: str = "float32",
    score_threshold: float = 0.01,
    iou_threshold: float = 0.5,
    max_detections: int = 100,
    about: Mapping[str, Any] | None = None,
) -> pathlib.Path:
    """Export a TFLite file that takes one letterboxed image, with a `.json` beside it that describes it.

    All operations are TFLite's own: the file runs where TensorFlow's are not linked in. Its signature
    `serving_default` takes `images` `[1, S, S, 3]` float32 in [0, 255], the image at the top left of the square and
    the rest black, as `datasets.letterbox` makes it. Its outputs are in pixels of that square; divided by the
    letterbox's scale they are in pixels of the image:

    - of a detector, after non-maximum suppression: `boxes` `[1, max_detections, 4]` xyxy, `scores`
      `[1, max_detections]`, `classes` int32 of the same shape, by falling score, and `num_detections` int32 `[1]`.
      Rows from there on are 0. It is what `detectors.decode` gives.
    - of a localizer: `box` `[1, 4]` xyxy and `probabilities` `[1, C]`.

    Args:
        model: `Detector` or `detectors.Localizer`.
        path: str or `pathlib.Path` of the new file, as `"detector.tflite"`. The json has its name and `.json`.
        precision: `"float32"`, or `"float16"` for weights of half the size; the arithmetic stays float32 where the
            device does not choose otherwise.
        score_threshold, iou_threshold, max_detections: of a detector, those of `detectors.predict`.
        about: dict for the json, or None.

    Returns:
        `path` as `pathlib.Path`.

    Raises:
        UserError: if the model is neither, the precision or the suffix is another, or something is there.

    Example:
        >>> kerassl.serving.export_tflite(detector, "detector.tflite", precision="float16")
        >>> run = tf.lite.Interpreter("detector.tflite").get_signature_runner()
        >>> square, scale = kerassl.resizing.letterbox(kerassl.datasets.read_image("photo.jpg"), detector.image_size)
        >>> run(images=square[None])["boxes"] / scale
    """
    path = pathlib.Path(path)
    card_path = path.with_suffix(".json")
    if precision not in PRECISIONS:
        raise UserError(f"precision is {precision!r}; give {' or '.join(PRECISIONS)}")
    if path.suffix != ".tflite":
        raise UserError(f"{path} does not end in .tflite; give a name as detector.tflite")
    for each in (path, card_path):
        _files.check_new(each)
    if isinstance(model, Detector):
        settings = {
            "score_threshold": score_threshold, "iou_threshold": iou_threshold, "max_detections": max_detections
        }  # fmt: skip
        kind, answer = "detector", _detector(model, **settings)
        outputs = {
            "boxes": "[1, max_detections, 4], xyxy in pixels of the square",
            "scores": "[1, max_detections], falling; 0 from num_detections on",
            "classes": "[1, max_detections] int32, places in classes",
            "num_detections": "[1] int32",
        }
    elif isinstance(model, Localizer):
        settings = {}
        kind, answer = "localizer", _localizer(model)
        outputs = {
            "box": "[1, 4], xyxy in pixels of the square",
            "probabilities": "[1, C], of the classes",
        }
    else:
        raise UserError(
            f"{type(model).__name__} has no TFLite file; give a detector or a Localizer, and export a backbone by "
            "serving.export"
        )
    contents = _converted(answer, model.image_size, precision)
    card = {
        "kind": kind,
        "image_size": model.image_size,
        "classes": list(model.class_names),
        "precision": precision,
        "input": "images [1, S, S, 3] float32 in [0, 255], letterboxed: the image at the top left, the rest black",
        "outputs": outputs,
        **settings,
        "date": time.strftime("%Y-%m-%d"),
        "weights_sha256": backbone_weights.checksum(backbone_weights.table(model)),
        "kerassl": __version__,
        "keras": _compat.KERAS_VERSION,
        "tensorflow": tf.__version__,
        **(about or {}),
    }
    with _files.whole(card_path, replace=False) as card_part, _files.whole(path, replace=False) as part:
        part.write_bytes(contents)
        card_part.write_text(
            json.dumps(card, indent=1, ensure_ascii=False, default=str) + "\n", "utf-8", "backslashreplace"
        )
    return path


def _converted(answer, size, precision):
    function = tf.function(answer, input_signature=[tf.TensorSpec([1, size, size, 3], name="images")], autograph=False)
    traced = function.get_concrete_function()
    module = tf.Module()
    module.weights = list(traced.variables)
    with _quiet(), tempfile.TemporaryDirectory() as folder:
        # By way of a SavedModel: of a function alone the file would have no names for inputs and outputs.
        tf.saved_model.save(module, folder, signatures={"serving_default": traced})
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if precision == "float16":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = [tf.float16]
        return converter.convert()


@contextlib.contextmanager
def _quiet():
    """Silence the converter's notes on its progress."""
    log = logging.getLogger("tensorflow")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        log.setLevel(level)


def _localizer(model):
    def answer(images):
        side = float(model.image_size)
        box, logits = locate(model, images, tf.ones([1]), tf.fill([1, 2], side))
        return {"box": box, "probabilities": tf.nn.softmax(logits)}

    return answer


def _detector(model, score_threshold, iou_threshold, max_detections):
    """As `decoding.select`, whose operation for all classes at once TFLite has not: here a class has its own."""

    def answer(images):
        boxes, scores = model.boxes_and_scores(model(images, training=False))
        boxes, scores = boxes[0], scores[0]  # [A, 4], [A, C]
        count = min(CANDIDATES, int(scores.shape[0]))
        kept = tf.math.top_k(tf.reduce_max(scores, -1), count).indices
        boxes, scores = clipped(tf.gather(boxes, kept), tf.gather(scores, kept), float(model.image_size))
        scores = tf.transpose(scores)  # [C, A]
        best = []
        for number in range(len(model.class_names)):
            chosen, found = tf.raw_ops.NonMaxSuppressionV4(
                boxes=boxes,
                scores=scores[number],
                max_output_size=max_detections,
                iou_threshold=iou_threshold,
                score_threshold=score_threshold,
                pad_to_max_output_size=True,
            )
            there = tf.range(max_detections) < found
            best.append((tf.gather(boxes, chosen), tf.where(there, tf.gather(scores[number], chosen), 0.0)))
        boxes, scores = (tf.concat(values, 0) for values in zip(*best))
        scores, order = tf.math.top_k(scores, max_detections)
        real = scores > 0
        classes = order // max_detections
        return {
            "boxes": tf.where(real[:, None], tf.gather(boxes, order), 0.0)[None],
            "scores": scores[None],
            "classes": tf.where(real, classes, 0)[None],
            "num_detections": tf.reduce_sum(tf.cast(real, tf.int32))[None],
        }

    return answer
