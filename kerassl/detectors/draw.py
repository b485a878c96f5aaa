"""Boxes drawn over a picture."""

import colorsys
import pathlib

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kerassl._display import shortened
from kerassl._errors import UserError
from kerassl._numbers import check
from kerassl.datasets.images.reading import read_image

_MOST = 4096  # pixels a side
_TRUTH = (60, 255, 60)


def draw(image, detections, classes, *, truth=None, score_threshold=0.3, width=None):
    """Draws detections, each in the colour of its class, with name and score.

    Args:
        image: path, or `[H, W, 3]` array of values in [0, 255].
        detections: dict `{"boxes": [n, 4] xyxy in pixels, "scores": [n], "classes": [n]}`, as `predict` gives it for
            an image, or None. Without `"scores"` all are drawn.
        classes: sequence of str, the names of the classes.
        truth: dict `{"boxes": [m, 4], "classes": [m]}` or a `Record`, drawn as thin green frames (crowd
            regions are not), or None.
        score_threshold: float. Less sure detections are left out of the picture.
        width: int or None. The picture is enlarged or shrunk to that many pixels; None enlarges small pictures to
            480, so that labels can be read. No side gets more than 4096 pixels, whatever the image's shape.

    Returns:
        `[H', W', 3]` uint8 `np.ndarray`.

    Raises:
        UserError: if a class index is beyond the names, or the image cannot be read.

    Example:
        >>> picture = kerassl.detectors.draw(path, detections[image_id], detector.class_names)
        >>> PIL.Image.fromarray(picture).save("detections.png")
    """
    check(score_threshold=score_threshold, width=width)
    if isinstance(image, (str, pathlib.Path)):
        image = read_image(image)
    image = Image.fromarray(np.clip(np.rint(np.asarray(image)), 0, 255).astype("uint8"))
    factor = min((width or max(image.width, 480)) / image.width, _MOST / max(image.size))
    image = image.resize([max(1, round(side * factor)) for side in image.size], Image.BICUBIC)
    # At twice the size and shrunk at the end, so that edges are smooth.
    canvas = image.resize((image.width * 2, image.height * 2), Image.BICUBIC)
    pen = _Pen(ImageDraw.Draw(canvas, "RGBA"), 2 * factor, max(20, min(32, canvas.width // 32)))
    if truth is not None:
        if not isinstance(truth, dict):
            truth = {"boxes": truth.boxes[~truth.crowd], "classes": truth.classes[~truth.crowd]}
        boxes, labels = truth["boxes"], truth["classes"]
        for box in np.asarray(boxes)[_known(labels, classes) >= 0]:
            pen.frame(box, _TRUTH, 3)
    if detections is not None:
        labels = _known(detections["classes"], classes)
        scores = np.asarray(detections.get("scores", np.full(len(labels), np.nan)))
        chosen = np.flatnonzero(~(scores < score_threshold))
        chosen = chosen[np.argsort(scores[chosen], kind="stable")]  # the surest on top
        for index in chosen:
            pen.frame(detections["boxes"][index], _colour(labels[index], len(classes)), 5)
        for index in chosen:
            score = "" if np.isnan(scores[index]) else f" {scores[index]:.2f}"
            name = f"{shortened(classes[labels[index]], 40)}{score}"
            pen.label(detections["boxes"][index], name, _colour(labels[index], len(classes)), canvas.size)
    return np.asarray(canvas.resize(image.size, Image.LANCZOS))


class _Pen:
    def __init__(self, canvas, factor, text_size):
        self.canvas, self.factor, self.font = canvas, factor, ImageFont.load_default(text_size)

    def frame(self, box, colour, width):
        x0, y0, x1, y1 = self._on_canvas(box)
        corners = (x0, y0, max(x0, x1), max(y0, y1))
        # A dark rim on both sides keeps a frame visible on any ground.
        for grow, shade, line in ((2, (0, 0, 0, 150), 2), (0, (*colour, 255), width), (-width, (0, 0, 0, 150), 2)):
            grown = (corners[0] - grow, corners[1] - grow, corners[2] + grow, corners[3] + grow)
            if grown[0] <= grown[2] and grown[1] <= grown[3]:
                self.canvas.rectangle(grown, outline=shade, width=line)

    def _on_canvas(self, box):
        # Frames may end far outside, where the time to draw them would grow with the distance.
        return np.clip(np.nan_to_num(np.asarray(box, float)) * self.factor, -100, 2 * _MOST + 100).tolist()

    def label(self, box, text, colour, size):
        left, top, right, bottom = self.canvas.textbbox((0, 0), text, font=self.font)
        width, height = right - left + 12, bottom - top + 10
        x, y, _, _ = self._on_canvas(box)
        x = min(max(0, x), max(0, size[0] - width))
        y = y - height if y >= height else min(max(0, y), size[1] - height)  # above the box, or inside it
        dark = np.dot(colour, (0.299, 0.587, 0.114)) < 140
        self.canvas.rectangle((x, y, x + width, y + height), fill=(*colour, 235))
        self.canvas.text((x + 6 - left, y + 5 - top), text, font=self.font, fill=(255, 255, 255) if dark else (0, 0, 0))


def _known(labels, classes):
    labels = np.asarray(labels, "int64").reshape(-1)
    if len(labels) and (labels.max() >= len(classes)):
        raise UserError(f"a box is of class {labels.max()}, but there are {len(classes)} class names")
    return labels


def _colour(label, count):
    # Even steps around the colour circle but for its greens, in turns of two brightnesses.
    hue = (0.47 + 0.71 * label / max(count, 6)) % 1
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.85, 1.0 if label % 2 == 0 else 0.8)
    return round(255 * red), round(255 * green), round(255 * blue)
