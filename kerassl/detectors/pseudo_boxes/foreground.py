"""Heatmaps of the foreground of images, by the features of a backbone alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import tqdm

from kerassl import backbones
from kerassl._compat import keras, tf
from kerassl._errors import UserError
from kerassl._graphs import graph_of
from kerassl._numbers import COUNT
from kerassl.datasets.pipeline.letterboxed import letterboxed_batches
from kerassl.detectors.pseudo_boxes import heatmaps
from kerassl.resizing import check_image_size
from kerassl.types import LEVELS

KINDS = ("component", "similarity")

_LARGEST = 3.0
"""An image's features are scaled down to this multiple of the median size. After training on few or small images those
of one in a hundred are eight to a hundred times larger, and would dominate the principal component."""

_MEASURED = 64
"""The number of images that the median is taken over."""


class Foreground:
    """Compute heatmaps of the objects in images, without head or label.

    Features of an image that are far larger than most are scaled down, so that none outweighs all others; the mean over
    all images is subtracted. Then:

    - `"component"`: the projection of each location on the first principal component over all images. With good
      features locations differ most in foreground and background. The component's sign is chosen so that the locations
      at the border of the images, where objects are rarer, are the low ones.
    - `"similarity"`: what each location contributes to its own image's embedding (`explain.SimilarityMap` of an image
      with itself): what distinguishes an image from the others.

    Values below 0 are set to 0.

    Args:
        backbone: flat functional `keras.Model` of images in [0, 255]. It runs as in prediction and is not changed.
        paths: list of str, the image files that mean and component are computed from.
        image_size: int, the side of the letterboxed images in pixels, a multiple of 32.
        kind: `"component"` or `"similarity"`.
        level: `"P3"`, `"P4"` or `"P5"`, the feature map: P5 separates objects best, P4 locates them best.
        sample: int. Mean and component are computed from at most this many images, evenly chosen.
        batch_size: int. Does not change the result.
        verbose: 0 or 1. Whether to show a progress bar.

    Raises:
        UserError: if kind, level, sample, the image size or the backbone is not accepted, or no image can be read.

    Example:
        >>> foreground = kerassl.detectors.Foreground(backbone, paths, 256, kind="component", level="P5")
        >>> for index, heatmap, scale, size in foreground.heatmaps(paths): ...

    References:
        Wei et al., "Unsupervised Object Discovery and Co-Localization by Deep Descriptor Transforming", 2017.
    """

    def __init__(
        self,
        backbone: keras.Model,
        paths: Sequence[str],
        image_size: int,
        *,
        kind: str,
        level: str,
        sample: int = 500,
        batch_size: int = 16,
        verbose: int = 0,
    ) -> None:
        if kind not in KINDS or level not in LEVELS:
            raise UserError(
                f"heatmap is {kind!r} and level {level!r}; heatmaps are {', '.join(KINDS)}, levels {', '.join(LEVELS)}"
            )
        if not COUNT.fits(sample):
            raise UserError(f"sample is {sample}; give 1 or more images, 500 are enough")
        self.image_size = check_image_size(image_size)
        self.kind, self.stride, self.batch_size = kind, LEVELS[level], batch_size
        layer = backbones.pyramid(backbone, image_size)[level]
        features = keras.Model(backbone.input, backbone.get_layer(layer).output)
        self._features = graph_of(
            lambda images: features(images, training=False),
            input_signature=[tf.TensorSpec([None, image_size, image_size, 3])],
        )
        self.largest = np.inf
        sizes = [_size(maps, inside) for _, maps, inside, _, _ in self._batches(_some(paths, _MEASURED), "sizes", 0)]
        self.largest = _LARGEST * np.median(np.concatenate(sizes)) or np.inf
        batches = self._batches(_some(paths, sample), "common features", verbose)
        self.mean, self.component = mean_and_component((maps, inside) for _, maps, inside, _, _ in batches)

    def heatmaps(
        self, paths: Sequence[str], verbose: int = 0
    ) -> Iterator[tuple[int, np.ndarray, float, tuple[int, int]]]:
        """Compute heatmaps of image files, in order; a broken file is logged and left out.

        Args:
            paths: list of str.
            verbose: 0 or 1. Whether to show a progress bar.

        Yields:
            `(index, heatmap, scale, size)`: int, the index in `paths`; `[h, w]` float32 array in [0, 1], the image's
            part of the letterbox, all 0 where there is no foreground; float, letterboxed over original pixels; and
            (height, width) of the original in pixels.
        """
        for indices, maps, inside, scales, sizes in self._batches(paths, "heatmaps", verbose):
            maps = tf.constant(maps - self.mean)
            if self.kind == "component":
                heatmap = tf.tensordot(maps, self.component, 1)  # [B, h, w]
            else:
                heatmap = heatmaps.contributions(maps, heatmaps.embedding(maps, inside), inside)
            for index, cut, scale, size in zip(indices, tf.nn.relu(heatmap).numpy(), scales, sizes):
                yield int(index), self._enlarged(cut, scale * size), float(scale), (int(size[0]), int(size[1]))

    def _enlarged(self, cut, sides):
        """The image's part of a map at the size of its pixels; the outer values are repeated up to its edges."""
        height, width = np.maximum(np.rint(sides), 1).astype(int)
        rows, columns = (np.maximum(np.rint(sides / self.stride), 1)).astype(int)
        cut = cut[:rows, :columns].astype(np.float32)
        heatmap = heatmaps.enlarge(cut[None], (rows * self.stride, columns * self.stride))[0][:height, :width]
        beyond = [(0, max(0, side - there)) for side, there in zip((height, width), heatmap.shape)]
        return np.pad(heatmap, beyond, "edge")

    def _batches(self, paths, title, verbose):
        """Batches of indices, maps `[B, h, w, C]` in float64, which locations are in the image, scales and sizes."""
        with tqdm.tqdm(total=len(paths), desc=title, unit="image", disable=not verbose) as bar:
            for indices, images, scales, sizes in letterboxed_batches(paths, self.image_size, self.batch_size):
                # Values of random networks are about 1e-18, whose square underflows in float32.
                maps = tf.cast(self._features(images), tf.float64).numpy()
                scales, sizes = scales.numpy(), sizes.numpy()
                inside = _inside(sizes * scales[:, None], self.image_size, self.stride)
                yield indices, bounded(maps, inside, self.largest), inside, scales, sizes
                bar.update(len(indices))


def bounded(maps: np.ndarray, inside: np.ndarray, largest: float) -> np.ndarray:
    """Scale down the features of an image, of `[B, h, w, C]`, whose size is above `largest`."""
    size = _size(maps, inside)
    scale = np.divide(largest, size, out=np.ones_like(size), where=size > largest)
    return maps * scale[:, None, None, None]


def _size(maps, inside):
    """The root mean square length of the features in the image, `[B]`."""
    squares = np.square(maps).sum(-1)
    return np.sqrt((squares * inside).sum((1, 2)) / inside.sum((1, 2)))


def _some(paths, count):
    """Choose at most `count` of them, evenly."""
    return [paths[index] for index in np.unique(np.linspace(0, len(paths) - 1, min(count, len(paths))).astype(int))]


def mean_and_component(batches: Iterable[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Compute the mean and the first principal component of features.

    Args:
        batches: iterable of maps `[B, h, w, C]` float64 and which locations count, `[B, h, w]` bool.

    Returns:
        The mean `[C]` and the component `[C]`, float64. The component points from the locations at the border of the
        images to the inner ones.
    """
    counts, sums, second = np.zeros(2), np.zeros(()), np.zeros(())  # of locations at the border and of inner ones
    for maps, inside in batches:
        inner = _inner(inside)
        groups = [maps[inside & ~inner], maps[inner]]
        counts = counts + [len(group) for group in groups]
        sums = sums + np.stack([group.sum(0) for group in groups])
        second = second + sum(group.T @ group for group in groups)
    if not counts[1]:
        raise UserError("all locations are at the border of their image; take a larger image_size or a finer level")
    mean = sums.sum(0) / counts.sum()
    component = np.linalg.eigh(second / counts.sum() - np.outer(mean, mean))[1][:, -1]
    border, within = sums / counts[:, None]
    return mean, component if component @ (within - border) >= 0 else -component


def _inside(sides, image_size, stride):
    """The locations whose centers are in the image: `[B, h, w]`, of images of `[B, 2]` pixels."""
    centers = np.arange(stride / 2, image_size, stride)
    down, across = (centers < np.maximum(sides[:, axis : axis + 1], stride) for axis in (0, 1))
    return down[:, :, None] & across[:, None]


def _inner(inside):
    """The locations that are in the image together with those above, below, left and right."""
    padded = np.pad(inside, [(0, 0), (1, 1), (1, 1)])
    beside = (padded[:, :-2, 1:-1], padded[:, 2:, 1:-1], padded[:, 1:-1, :-2], padded[:, 1:-1, 2:])
    return inside & np.logical_and.reduce(beside)
