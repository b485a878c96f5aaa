"""A trained model as a SavedModel for TensorFlow Serving."""

from __future__ import annotations

import json
import logging
import os
import pathlib
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from kerassl import _compat
from kerassl._compat import keras, tf
from kerassl._display import printable
from kerassl._errors import UserError
from kerassl._io import files as _files
from kerassl._io.manifest import checksum
from kerassl._version import __version__
from kerassl.backbones import weights as backbone_weights
from kerassl.datasets.images.decoding import MAX_PIXELS
from kerassl.detectors import Detector, Localizer
from kerassl.detectors.decoding import detect
from kerassl.detectors.localizer.predictions import locate
from kerassl.models import SimCLR
from kerassl.resizing import check_image_size, letterbox
from kerassl.serving import batching, warmup
from kerassl.serving.encoded import read_encoded
from kerassl.serving.recorded import NAME, write_requests
from kerassl.serving.requests import record

log = logging.getLogger("kerassl")


def export(
    model: keras.Model,
    path: str | os.PathLike,
    *,
    image_size: int | None = None,
    score_threshold: float = 0.01,
    iou_threshold: float = 0.5,
    max_detections: int = 100,
    max_pixels: int = MAX_PIXELS,
    batch_sizes: Sequence[int] = (1, 2, 4, 8),
    about: Mapping[str, Any] | None = None,
) -> pathlib.Path:
    """Export a SavedModel that takes images or image files, with pre- and post-processing in its graph.

    Its signatures; a signature's inputs are of one type, so pixels have two:

    - `serving_default`: `images` `[B, H, W, 3]` float32 in [0, 255], of any size, but of one in a batch.
    - `serving_uint8`: the same as uint8.
    - `serve_bytes`: `image_bytes` `[B]` string, whole JPEG or PNG files (or BMPs of 24 bits), each of its own size,
      decoded as `detectors.predict` decodes files: turned as EXIF says, what is transparent white. Its answer also
      has `valid` bool `[B]`, false for a file that is broken, of more than `max_pixels`, or of a format that needs
      Python (GIF, WebP, other BMPs); the rest of that row is 0 and empty, and the other rows are as they would be
      without it.
    - `embed`: `images` as of `serving_default`, into `embeddings` `[B, D]` float32, the backbone's pooled features.

    Images are letterboxed inside the graph, and boxes are xyxy in pixels of the images as they were given (of files:
    as people see them). The outputs, all with a row an image:

    - of a detector: `boxes` `[B, max_detections, 4]`, `scores` `[B, max_detections]`, `classes` int32 and
      `class_names` string of the same shape, by falling score, and `num_detections` int32 `[B]`. Rows from there on
      are 0 (and an empty name).
    - of a localizer: `box` `[B, 4]`, `probabilities` `[B, C]`, `class` int32 `[B]`, `class_name` string `[B]`.
    - of `SimCLR` or a backbone: `embeddings` `[B, D]`, as of `embed`.

    The graph holds no random augmentation and nothing that only XLA can run. `assets.extra/` holds a
    `model_card.json` (preprocessing, classes, data, command, metrics, checksums, versions), the class names, one a
    line, and a few requests with the answers of the model in memory, which `check` replays. It also holds
    `batching.config`, its `--batching_parameters_file`, and where `pip install 'kerassl[serving]'` was run also
    `tf_serving_warmup_requests`, which it asks itself before it serves the version.

    Args:
        model: `detectors.RetinaNet`, `detectors.YOLOV8`, `Localizer`, `SimCLR`, or a
            backbone.
        path: str or `pathlib.Path` of the new folder. TensorFlow Serving wants `<name>/<version number>`, and serves
            the highest number.
        image_size: int, the letterbox's side in pixels, a multiple of 32, for embeddings. None takes the model's own,
            which a backbone has not.
        score_threshold, iou_threshold, max_detections: of a detector, those of `detectors.predict`.
        max_pixels: int. An encoded image of more, by its header, is refused before memory is taken for it. The
            images of a batch are decoded side by side, as many as there are cores.
        batch_sizes: rising sequence of int. A server that puts requests together fills a batch up to the next of them,
            and takes no more than the last; each is warmed up.
        about: dict for the card, as `{"data": "VOC 2007 train", "metrics": {"voc07_ap50": 0.41}}`, or None.

    Returns:
        `path` as `pathlib.Path`. The folder appears whole or not at all.

    Raises:
        UserError: if something is at `path`, the model is none of those, the image size is missing or no multiple
            of 32, or the batch sizes do not rise from 1 up.

    Example:
        >>> kerassl.serving.export(detector, "servables/voc/1")
        >>> servable = tf.saved_model.load("servables/voc/1").signatures["serve_bytes"]
        >>> servable(image_bytes=tf.io.read_file("photo.jpg")[None])["num_detections"]
    """
    path = pathlib.Path(path)
    if os.path.lexists(path):
        raise UserError(f"{path} already exists; choose the next version's number, or remove it first")
    if not path.name.isdigit():
        log.warning("TensorFlow Serving reads versions whose folder is a number, as servables/voc/1; not %s", path.name)
    batch_sizes = batching.check_sizes(batch_sizes)
    settings = (score_threshold, iou_threshold, max_detections)
    kind, size, answer = _answer(model, image_size, settings)
    signatures = _signatures(model, size, answer, max_pixels)
    card = {
        "kind": kind,
        "image_size": size,
        "classes": list(getattr(model, "class_names", [])),
        "signatures": {
            "serving_default": "images [B, H, W, 3] float32 in [0, 255], of one size in a batch",
            "serving_uint8": "images [B, H, W, 3] uint8",
            "serve_bytes": "image_bytes [B], JPEG, PNG or BMP of 24 bits; valid is false for what cannot be decoded "
            "without Python, as GIF, WebP and other BMPs, or is broken or too large",
            "embed": "images [B, H, W, 3] float32 in [0, 255]",
        },
        "preprocessing": f"turned as EXIF says, transparent as white (serve_bytes); letterboxed to {size} x {size}, "
        "anti-aliased, the image at the top left and the rest black",
        "boxes": "xyxy in pixels of the images as given",
        "max_pixels": max_pixels,
        "batch_sizes": batch_sizes,
        "data": None,
        "metrics": None,
        "command": shlex.join(sys.argv),
        "date": time.strftime("%Y-%m-%d"),
        "weights_sha256": backbone_weights.checksum(backbone_weights.table(_weighty(model))),
        "kerassl": __version__,
        "keras": _compat.KERAS_VERSION,
        "tensorflow": tf.__version__,
        **(about or {}),
    }
    if kind == "detector":
        card.update(zip(("score_threshold", "iou_threshold", "max_detections"), settings))
    module = tf.Module()
    # Not the Keras model itself: its saver would also trace training, with the compiled layers and the random views.
    module.weights = _in_order(signatures["serving_default"].variables, model)
    requests = record(signatures)
    with _files.whole_folder(path) as part:
        # A server takes no gradients, and tracing those of the activations takes half as long as all else.
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        tf.saved_model.save(module, str(part), signatures=signatures, options=options)
        extra = part / "assets.extra"
        extra.mkdir()
        write_requests(extra / NAME, requests)
        (extra / batching.NAME).write_text(batching.parameters(batch_sizes), "utf-8")
        name = path.resolve().parent.name
        card["warmup_requests"] = warmup.write_warmup(extra / warmup.NAME, name, signatures, batch_sizes)
        if card["classes"]:
            (extra / "classes.txt").write_text("\n".join(map(printable, card["classes"])) + "\n", "utf-8")
        files = sorted(file for file in part.rglob("*") if file.is_file())
        card["files"] = {file.relative_to(part).as_posix(): checksum(file) for file in files}
        text = json.dumps(card, indent=1, ensure_ascii=False, default=str)
        (extra / "model_card.json").write_text(text + "\n", "utf-8", "backslashreplace")  # which is JSON's own escape
    if not card["warmup_requests"]:
        log.info("no warm-up requests in %s: pip install 'kerassl[serving]' for the protocol buffers they need", path)
    return path


def _signatures(model, size, answer, max_pixels):
    # A function of its own, traced once for all signatures.
    answer = tf.function(
        _any_number(answer),
        input_signature=[tf.TensorSpec([None, size, size, 3]), tf.TensorSpec([None]), tf.TensorSpec([None, 2])],
        autograph=False,
    )
    embedded = tf.function(
        _any_number(_embedding(_backbone(model))), input_signature=answer.input_signature, autograph=False
    )

    def serve(images):
        return answer(*_letterboxed(images, size))

    def embed(images):
        return embedded(*_letterboxed(images, size))

    def serve_bytes(image_bytes):
        boxed, scales, sizes, valid = read_encoded(image_bytes, size, max_pixels=max_pixels)
        answers = answer(boxed, scales, sizes)
        return {name: _only(valid, value) for name, value in answers.items()} | {"valid": valid}

    def traced(function, shape, dtype, name):
        return tf.function(function, autograph=False).get_concrete_function(tf.TensorSpec(shape, dtype, name=name))

    pixels = [None, None, None, 3]
    return {
        "serving_default": traced(serve, pixels, tf.float32, "images"),
        "serving_uint8": traced(serve, pixels, tf.uint8, "images"),
        "serve_bytes": traced(serve_bytes, [None], tf.string, "image_bytes"),
        "embed": traced(embed, pixels, tf.float32, "images"),
    }


def _any_number(answer):
    """Also of no image at all: TensorFlow's kernels refuse that, so a black one goes in their place and out again."""

    def answered(images, scales, sizes):
        count = tf.shape(images)[0]
        blank = tf.cast(count == 0, tf.int32)
        padded = tf.pad(images, [[0, blank], [0, 0], [0, 0], [0, 0]])
        scales = tf.pad(scales, [[0, blank]], constant_values=1.0)
        sizes = tf.pad(sizes, [[0, blank], [0, 0]], constant_values=1.0)
        answers = answer(tf.ensure_shape(padded, images.shape), scales, sizes)
        return {name: value[:count] for name, value in answers.items()}

    return answered


def _in_order(variables, model):
    """A function's variables as the model has them: a function lists its own in another order each time."""
    used = {id(variable): variable for variable in variables}
    ordered = [used.pop(id(_compat.tf_variable(weight)), None) for weight in model.weights]
    return [*(variable for variable in ordered if variable is not None), *used.values()]


def _only(valid, value):
    valid = tf.reshape(valid, tf.concat([tf.shape(valid), tf.ones([tf.rank(value) - 1], tf.int32)], 0))
    return tf.where(valid, value, tf.zeros_like(value))


def _backbone(model):
    return model.backbone if isinstance(model, (Detector, Localizer, SimCLR)) else model


def _weighty(model):
    """Return what the checksum is of: of an embedding the backbone, as its own file has it."""
    return model if isinstance(model, (Detector, Localizer)) else _backbone(model)


def _answer(model, image_size, settings):
    """Return the kind of model, its image size, and its function of letterboxed images, scales and sizes."""
    if isinstance(model, (Detector, Localizer)) and image_size not in (None, model.image_size):
        raise UserError(f"image_size is {image_size}, but the model was trained for {model.image_size}; leave it out")
    if isinstance(model, Detector):
        return "detector", model.image_size, _detector(model, settings)
    if isinstance(model, Localizer):
        return "localizer", model.image_size, _localizer(model)
    backbone = _backbone(model)
    if not isinstance(backbone, keras.Model) or len(getattr(backbone, "output_shape", ())) != 4:
        raise UserError(
            f"{type(model).__name__} cannot be exported; give a detector, a Localizer, a SimCLR model or a backbone"
        )
    size = image_size or getattr(model, "image_size", None)
    if size is None:
        raise UserError("a backbone is of no image size of its own; give image_size, as 224")
    return "embedding", check_image_size(size), _embedding(backbone)


def _detector(model, settings):
    names = tf.constant(list(model.class_names))

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
    names = tf.constant(list(model.class_names))

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
    """Squares `[B, S, S, 3]`, scales `[B]` and the originals' sizes `[B, 2]`."""
    boxed, scales = tf.map_fn(
        lambda image: letterbox(image, size),
        images,
        fn_output_signature=(tf.TensorSpec([size, size, 3]), tf.TensorSpec([])),
    )
    height_width = tf.cast(tf.shape(images)[1:3], tf.float32)
    return boxed, scales, tf.tile(height_width[None], [tf.shape(images)[0], 1])
