"""Drops of class scores when a region is painted over."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from kerassl._compat import tf
from kerassl.datasets.pipeline.erase import paint_over
from kerassl.datasets.pipeline.letterboxed import letterboxed_batches


def score_falls(
    scorer: Callable,
    paths: Sequence[str],
    labels: np.ndarray,
    region: np.ndarray,
    image_size: int,
    *,
    batch_size: int = 16,
) -> np.ndarray:
    """Compute the drop of a class's score when a region of each image is painted over with its mean color.

    Args:
        scorer: function from images `[B, S, S, 3]` to scores `[B, C]` in [0, 1].
        paths: list of str, the images.
        labels: `[N]` int array, the class of each.
        region: `[4]` array, xyxy in shares of the image's width and height.
        image_size: int, the side of the letterboxed images.

    Returns:
        `[M, 2]` float array of the images that can be read: the fall of the score, and that of its log-odds, which
        shows also where the score stays near 1.
    """
    labels, region, found = np.asarray(labels), np.asarray(region, np.float32)[None], []
    for places, images, _, sizes in letterboxed_batches(paths, image_size, batch_size):
        ends = np.rint(sizes.numpy() / sizes.numpy().max(axis=1, keepdims=True) * image_size).astype(int)
        painted = []
        for image, (height, width) in zip(images, np.clip(ends, 1, image_size)):
            image = paint_over(image[:height, :width], region)
            painted.append(tf.pad(image, [[0, image_size - height], [0, image_size - width], [0, 0]]))
        both = [scorer(each).numpy()[np.arange(len(places)), labels[places]] for each in (images, tf.stack(painted))]
        odds = [np.log(np.clip(each, 1e-6, 1 - 1e-6) / (1 - np.clip(each, 1e-6, 1 - 1e-6))) for each in both]
        found.append(np.stack([both[0] - both[1], odds[0] - odds[1]], axis=1))
    return np.concatenate(found).astype(float)
