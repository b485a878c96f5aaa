"""Detections of a detector, in pixels of the original images."""

import tensorflow as tf
import tqdm

from kerassl._errors import UserError
from kerassl._numbers import COUNT, SHARE, SHARE_BELOW_1
from kerassl.datasets.pipeline.letterboxed import identified, letterboxed_batches
from kerassl.detectors.decoding import detect
from kerassl.metrics import Predictions


def predict(
    model,
    images,
    *,
    score_threshold=0.01,
    iou_threshold=0.5,
    max_detections=100,
    batch_size=8,
    strict=False,
    verbose=1,
):
    """Detects objects in image files.

    Args:
        model: `Detector`, as `detectors.RetinaNet` or `detectors.YOLOV8`.
        images: list of `datasets.Record`s, or a folder, a file or a list of those.
        score_threshold: float in [0, 1). Lower scores are dropped. 0.01 is for average precision, which needs the
            unlikely ones too; 0.3 to 0.5 for pictures.
        iou_threshold: float in [0, 1]. Of two boxes of a class that overlap more than that, the better one stays.
        max_detections: int, for an image.
        batch_size: int. Does not change the result.
        strict: bool. Stop at a file that cannot be read.
        verbose: 0 or 1. Whether to show a progress bar.

    Returns:
        `metrics.Predictions`, a dict with the names of the classes: from image id (a record's own; the path as str of
        a file) to `{"boxes": float32 [n, 4] xyxy in pixels of the original image, "scores": float32 [n], "classes":
        int32 [n]}`, by falling score. An image without detections has empty arrays; a broken file is named in the log
        and missing.

    Raises:
        UserError: if a path does not exist, there is no image, none can be read (with `strict`, one cannot), or a
            threshold is out of range.

    Example:
        >>> val = kerassl.datasets.DetectionDataset.from_voc("VOCdevkit", split="val")
        >>> detections = kerassl.detectors.predict(detector, val)
        >>> detections["000007"]["boxes"]
    """
    if not SHARE_BELOW_1.fits(score_threshold) or not SHARE.fits(iou_threshold) or not COUNT.fits(max_detections):
        raise UserError(
            f"score_threshold is {score_threshold}, iou_threshold {iou_threshold}, max_detections {max_detections}; "
            "the thresholds are in [0, 1] and max_detections is 1 or more"
        )
    ids, paths = identified(images)
    run = _function(model, (score_threshold, iou_threshold, max_detections))
    detections = Predictions((), getattr(model, "class_names", None))
    with tqdm.tqdm(total=len(ids), desc="predict", unit="image", disable=not verbose) as bar:
        for places, pictures, scales, sizes in letterboxed_batches(paths, model.image_size, batch_size, strict=strict):
            for place, boxes, scores, classes, count in zip(places, *(p.numpy() for p in run(pictures, scales, sizes))):
                found = {"boxes": boxes[:count], "scores": scores[:count], "classes": classes[:count]}
                detections[ids[place]] = {name: values.copy() for name, values in found.items()}
            bar.update(len(places))
    return detections


def _function(model, settings):
    """The graph of one batch, of any size; traced once for a model and its settings, which takes seconds."""
    # Past Keras, which would take the dict for a part of the model that is to be saved.
    functions = model.__dict__.setdefault("_detect", {})
    if settings in functions:
        return functions[settings]
    side = model.image_size

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, side, side, 3]), tf.TensorSpec([None]), tf.TensorSpec([None, 2])
        ]
    )  # fmt: skip
    def run(images, scales, sizes):
        return detect(model, images, scales, sizes, *settings)

    # The graph, not the function: TensorFlow counts the tracings of all models' functions together, and warns.
    functions[settings] = run.get_concrete_function()
    return functions[settings]
