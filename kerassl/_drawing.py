"""Boxes drawn over an image."""

from __future__ import annotations

import colorsys
import os

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from kerassl._display import shortened
from kerassl._errors import UserError

__all__ = ["color", "draw", "shortened"]

_LARGEST = 4096  # pixels a side
_TRUTH = (60, 255, 60)


def draw(image, found, truth, width=None):
    """Draw boxes over an image (a path, or `[H, W, 3]` array in [0, 255]); returns a `[H', W', 3]` uint8 array.

    Args:
        found: List of (box, color, caption), the last on top.
        truth: `[m, 4]` array of boxes to draw as thin green frames.
        width: Width of the result in pixels, or None: that of the image, and at least 480.
    """
    image = _read(image)
    factor = min((width or max(image.width, 480)) / image.width, _LARGEST / max(image.size))
    image = image.resize([max(1, round(side * factor)) for side in image.size], Image.BICUBIC)
    # At twice the size and shrunk at the end, so that edges are smooth.
    canvas = image.resize((image.width * 2, image.height * 2), Image.BICUBIC)
    pen = _Pen(ImageDraw.Draw(canvas, "RGBA"), 2 * factor, max(20, min(32, canvas.width // 32)))
    for box in truth:
        pen.frame(box, _TRUTH, 3)
    for box, shade, _ in found:
        pen.frame(box, shade, 5)
    for box, shade, caption in found:
        pen.label(box, caption, shade, canvas.size)
    return np.asarray(canvas.resize(image.size, Image.LANCZOS))


def color(label: int, count: int) -> tuple[int, int, int]:
    """Return the color of a class among `count`, as (red, green, blue)."""
    # Even steps around the color circle but for its greens, in turns of two brightnesses.
    hue = (0.47 + 0.71 * label / max(count, 6)) % 1
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.85, 1.0 if label % 2 == 0 else 0.8)
    return round(255 * red), round(255 * green), round(255 * blue)


def _read(image):
    if not isinstance(image, (str, os.PathLike)):
        return Image.fromarray(np.clip(np.rint(np.asarray(image)), 0, 255).astype("uint8"))
    try:
        with Image.open(image) as file:
            turned = ImageOps.exif_transpose(file).convert("RGBA")
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{image} cannot be read as an image ({type(error).__name__}); give an image file") from None
    return Image.alpha_composite(Image.new("RGBA", turned.size, "white"), turned).convert("RGB")


class _Pen:
    def __init__(self, canvas, factor, text_size):
        self.canvas, self.factor, self.font = canvas, factor, ImageFont.load_default(text_size)

    def frame(self, box, shade, width):
        x0, y0, x1, y1 = self._on_canvas(box)
        corners = (x0, y0, max(x0, x1), max(y0, y1))
        # A dark rim on both sides keeps a frame visible on any background.
        for grow, fill, line in ((2, (0, 0, 0, 150), 2), (0, (*shade, 255), width), (-width, (0, 0, 0, 150), 2)):
            grown = (corners[0] - grow, corners[1] - grow, corners[2] + grow, corners[3] + grow)
            if grown[0] <= grown[2] and grown[1] <= grown[3]:
                self.canvas.rectangle(grown, outline=fill, width=line)

    def _on_canvas(self, box):
        # Frames may end far outside, where the time to draw them would grow with the distance.
        near = np.clip(np.nan_to_num(np.asarray(box, float)), -1e9, 1e9)
        return np.clip(near * self.factor, -100, 2 * _LARGEST + 100).tolist()

    def label(self, box, text, shade, size):
        left, top, right, bottom = self.canvas.textbbox((0, 0), text, font=self.font)
        width, height = right - left + 12, bottom - top + 10
        x, y, _, _ = self._on_canvas(box)
        x = min(max(0, x), max(0, size[0] - width))
        y = y - height if y >= height else min(max(0, y), size[1] - height)  # above the box, or inside it
        dark = np.dot(shade, (0.299, 0.587, 0.114)) < 140
        self.canvas.rectangle((x, y, x + width, y + height), fill=(*shade, 235))
        self.canvas.text((x + 6 - left, y + 5 - top), text, font=self.font, fill=(255, 255, 255) if dark else (0, 0, 0))
