"""Requests that are recorded at an export, with their answers, for later comparison."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kerassl._compat import tf

BATCHES = (1, 8)
_SIDES = (96, 128)  # small, so that the records are


def record(signatures: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Record the answers of signatures (concrete functions by name) to generated images, for `recorded.write_requests`.

    The last image of the larger batch of files is cut off.
    """
    requests = []
    for name, function in signatures.items():
        for count in BATCHES:
            (spec,) = tf.nest.flatten(function.structured_input_signature)
            value, sides = drawn(spec, count, _SIDES)
            if spec.dtype == tf.string and count > 1:
                value[-1] = value[-1][: len(value[-1]) // 2]
            outputs = function(tf.constant(value, spec.dtype))
            outputs = {output: answer.numpy() for output, answer in outputs.items()}
            requests.append({"signature": name, "inputs": {spec.name: value}, "outputs": outputs, "sides": sides})
    return requests


def drawn(spec: tf.TensorSpec, count: int, sides: tuple[int, int]) -> tuple[np.ndarray, list[int]]:
    """Generate `count` images as a signature's input takes them, and return their long sides in pixels, too.

    Files are JPEG and PNG in turns, each of its own size; pixels are of (height, width) `sides`.
    """
    if spec.dtype == tf.string:
        images = [_drawn(number, 64 + 16 * (number % 8), 160 - 8 * (number % 8)) for number in range(count)]
        return _files(images), [max(image.shape[:2]) for image in images]
    value = np.stack([_drawn(number, *sides) for number in range(count)])
    return value.astype(spec.dtype.as_numpy_dtype), [max(sides)] * count


def _drawn(number, height, width):
    """An image with smooth colors and a few bright discs, uint8; other numbers give others."""
    rng = np.random.default_rng(number)
    y, x = np.mgrid[:height, :width]
    slopes = rng.uniform(-1, 1, (3, 2))
    image = np.stack([128 + 60 * (a * x / width + b * y / height) for a, b in slopes], -1)
    for _ in range(3):
        middle, radius = rng.uniform(0, 1, 2) * (height, width), rng.uniform(0.1, 0.3) * min(height, width)
        inside = (y - middle[0]) ** 2 + (x - middle[1]) ** 2 < radius**2
        image[inside] = rng.uniform(0, 255, 3)
    return image.astype(np.uint8)


def _files(images):
    files = [
        (tf.io.encode_png(image) if number % 2 else tf.io.encode_jpeg(image)).numpy()
        for number, image in enumerate(images)
    ]
    return np.array(files, object)
