"""Detections in a file, between the command that makes them and the one that scores them."""

import json
import pathlib

import numpy as np

from kerassl._errors import UserError
from kerassl._files import whole
from kerassl.metrics.checks import detections

_FORMAT = "kerassl predictions 1"


def save_predictions(path, predictions, *, overwrite=False):
    """Writes detections to a JSON file, which appears whole or not at all.

    Args:
        path: str or `pathlib.Path`.
        predictions: dict from image id to `{"boxes": [n, 4] xyxy in pixels of the original image, "scores": [n],
            "classes": [n]}`.
        overwrite: bool. Replace a file that is there already.

    Raises:
        UserError: if a part is missing, shapes do not fit, a number is not finite, a box is inverted, or there is a
            file already and `overwrite` is false.

    Example:
        >>> kerassl.metrics.save_predictions("predictions.json", predictions)
    """
    images = {}
    for image_id, prediction in predictions.items():
        boxes, scores, classes = detections(f"image {image_id!r}", prediction)
        images[str(image_id)] = {"boxes": boxes.tolist(), "scores": scores.tolist(), "classes": classes.tolist()}
    with whole(path, overwrite=overwrite) as part:
        part.write_text(json.dumps({"format": _FORMAT, "images": images}), encoding="utf-8")


def load_predictions(path):
    """Reads detections from a file that `save_predictions` wrote.

    Args:
        path: str or `pathlib.Path`.

    Returns:
        Dict from image id to `{"boxes": float32 [n, 4], "scores": float32 [n], "classes": int32 [n]}`.

    Raises:
        UserError: if there is no such file or it does not hold predictions.

    Example:
        >>> kerassl.metrics.load_predictions("predictions.json")["000012"]["scores"]
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise UserError(f"there is no file of predictions at {path}; `kerassl predict` writes one")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise UserError(f"{path} is not JSON; give a file that `kerassl predict` wrote") from None
    if not isinstance(content, dict) or content.get("format") != _FORMAT or not isinstance(content.get("images"), dict):
        raise UserError(f"{path} does not hold predictions; give a file that `kerassl predict` wrote")
    predictions = {}
    for image_id, prediction in content["images"].items():
        boxes, scores, classes = detections(f"image {image_id!r} in {path}", prediction)
        predictions[image_id] = {
            "boxes": boxes.astype(np.float32),
            "scores": scores.astype(np.float32),
            "classes": classes.astype(np.int32),
        }
    return predictions
