"""Boxes drawn over an image."""

from __future__ import annotations

import colorsys
import os

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from kerassl._display import shortened
from kerassl._errors import UserError

__all__ = ["color", "draw", "legend", "shortened"]

_LARGEST = 4096  # pixels a side
_TRUTH = (60, 255, 60)
_DASH = 14  # a dash and its gap, as a multiple of the width of a line


def draw(image, found, truth, width=None):
    """Draw boxes over an image (a path, or `[H, W, 3]` array in [0, 255]); returns a `[H', W', 3]` uint8 array.

    Args:
        found: List of (box, color, caption), the last on top.
        truth: `[m, 4]` array of boxes to draw as dashed green frames.
        width: Width of the result in pixels, or None: that of the image, and at least 480.
    """
    image = _read(image)
    factor = min((width or max(image.width, 480)) / image.width, _LARGEST / max(image.size))
    image = image.resize([max(1, round(side * factor)) for side in image.size], Image.BICUBIC)
    # At twice the size and shrunk at the end, so that edges are smooth.
    canvas = image.resize((image.width * 2, image.height * 2), Image.BICUBIC)
    # Lines and letters grow with the image, which is seen as a whole on a screen.
    scale = max(1.0, min(canvas.size) / 960)
    pen = _Pen(ImageDraw.Draw(canvas, "RGBA"), 2 * factor, scale, round(scale * max(20, min(32, canvas.width // 32))))
    for box, shade, _ in found:
        pen.frame(box, shade, 5)
    for box in truth:
        pen.dashed(box, _TRUTH, 5)
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


def legend(size: int) -> Image.Image:
    """Return what the frames of `draw` are, as an image with letters of a size in pixels."""
    font, line = ImageFont.load_default(size), max(2, size // 6)
    texts = ("ground truth", "detection, in the color of its class")
    widths = [round(font.getlength(text)) for text in texts]
    image = Image.new("RGB", (sum(widths) + 7 * size, 2 * size), "white")
    pen = _Pen(ImageDraw.Draw(image, "RGBA"), 1, line / 5, size)
    left = line
    for text, width in zip(texts, widths):
        box = (left, size // 2, left + 2 * size, size + size // 2)
        pen.dashed(box, _TRUTH, 5) if text == texts[0] else pen.frame(box, color(0, 1), 5)
        pen.canvas.text((left + 2.4 * size, size // 2 - 1), text, "black", font)
        left += width + round(3.6 * size)
    return image


class _Pen:
    def __init__(self, canvas, factor, scale, text_size):
        self.canvas, self.factor, self.scale, self.font = canvas, factor, scale, ImageFont.load_default(text_size)

    def frame(self, box, shade, width):
        x0, y0, x1, y1 = self._on_canvas(box)
        corners = (x0, y0, max(x0, x1), max(y0, y1))
        width, rim = (max(1, round(self.scale * each)) for each in (width, 2))
        # A dark rim on both sides keeps a frame visible on any background.
        for grow, fill, line in ((rim, (0, 0, 0, 150), rim), (0, (*shade, 255), width), (-width, (0, 0, 0, 150), rim)):
            grown = (corners[0] - grow, corners[1] - grow, corners[2] + grow, corners[3] + grow)
            if grown[0] <= grown[2] and grown[1] <= grown[3]:
                self.canvas.rectangle(grown, outline=fill, width=line)

    def dashed(self, box, shade, width):
        x0, y0, x1, y1 = self._on_canvas(box)
        width = max(1, round(self.scale * width))
        step = max(4, round(self.scale * _DASH * 2))
        for x in (x0, max(x0, x1)):
            self._dashes((x, y0), (x, max(y0, y1)), step, shade, width)
        for y in (y0, max(y0, y1)):
            self._dashes((x0, y), (max(x0, x1), y), step, shade, width)

    def _dashes(self, start, end, step, shade, width):
        (x0, y0), (x1, y1) = start, end
        length = max(x1 - x0, y1 - y0)
        count = max(1, round(length / step))
        for number in range(count + 1):  # the first and the last half of a dash are at the corners
            low, high = (np.clip((number + each) / count, 0, 1) for each in (-0.3, 0.3))
            ends = [(x0 + share * (x1 - x0), y0 + share * (y1 - y0)) for share in (low, high)]
            for fill, line in (((0, 0, 0, 150), width + max(2, round(4 * self.scale))), ((*shade, 255), width)):
                self.canvas.line(ends, fill, line)

    def _on_canvas(self, box):
        # Frames may end far outside, where the time to draw them would grow with the distance.
        near = np.clip(np.nan_to_num(np.asarray(box, float)), -1e9, 1e9)
        return np.clip(near * self.factor, -100, 2 * _LARGEST + 100).tolist()

    def label(self, box, text, shade, size):
        left, top, right, bottom = self.canvas.textbbox((0, 0), text, font=self.font)
        aside, above = round(6 * self.scale), round(5 * self.scale)
        width, height = right - left + 2 * aside, bottom - top + 2 * above
        x, y, _, _ = self._on_canvas(box)
        x = min(max(0, x), max(0, size[0] - width))
        y = y - height if y >= height else min(max(0, y), size[1] - height)  # above the box, or inside it
        dark = np.dot(shade, (0.299, 0.587, 0.114)) < 140
        self.canvas.rectangle((x, y, x + width, y + height), fill=(*shade, 235))
        self.canvas.text(
            (x + aside - left, y + above - top), text, font=self.font, fill=(255, 255, 255) if dark else (0, 0, 0)
        )
