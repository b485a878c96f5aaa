"""What stands out of photographs, by the features of a backbone alone."""

import keras
import numpy as np
import tensorflow as tf
import tqdm

from kerassl import backbones
from kerassl._errors import UserError
from kerassl._numbers import COUNT
from kerassl.datasets.pipeline.letterboxed import letterboxed_batches
from kerassl.detectors.pseudo_boxes import similarity as likeness
from kerassl.detectors.pseudo_boxes.enlarge import enlarge
from kerassl.resizing import check_image_size
from kerassl.types import LEVELS

KINDS = ("component", "similarity")

_LARGEST = 3.0
"""A photograph's features are scaled down to so many times the median size. After training on few or small images
those of one in a hundred come out eight to a hundred times too large, and would be all that photographs differ in."""

_MEASURED = 64
"""The photographs that the median is taken over."""


class Foreground:
    """Heatmaps of the things in photographs, without head or label.

    Photographs whose features are far larger than most are scaled down, so that none outweighs all others; what the
    cells of all have in common, their mean, is taken off. Then:

    - `"component"`: each cell's place along the first principal component of the cells of all photographs. Things and
      their ground are what cells differ in most, where features are good. The component's sign is chosen so that the
      cells at the border of the pictures, where things are rarer, are the low ones.
    - `"similarity"`: what each cell contributes to its own image's embedding (`explain.SimilarityMap` of an image with
      itself): what makes an image unlike the others.

    Values below 0 count as 0.

    Args:
        backbone: flat functional `keras.Model` of images in [0, 255]. It runs as in prediction and stays as it is.
        paths: list of str, the image files that mean and component are learned from.
        image_size: int, the side of the letterboxed images in pixels, a multiple of 32.
        kind: `"component"` or `"similarity"`.
        level: `"P3"`, `"P4"` or `"P5"`, the feature map: P5 knows best what is what, P4 where it is.
        sample: int. At most so many photographs, evenly chosen, are learned from.
        batch_size: int. Does not change the result.
        verbose: 0 or 1. Whether to show a progress bar.

    Raises:
        UserError: if kind, level or sample is none that is accepted, the image size or the backbone does not fit, or
            no image can be read.

    Example:
        >>> look = kerassl.detectors.Foreground(backbone, paths, 256)
        >>> for place, heat, scale, size in look.heatmaps(paths): ...

    Reference:
        Wei et al., "Unsupervised Object Discovery and Co-Localization by Deep Descriptor Transforming", 2017.
    """

    def __init__(self, backbone, paths, image_size, *, kind, level, sample=500, batch_size=16, verbose=0):
        if kind not in KINDS or level not in LEVELS:
            raise UserError(
                f"heatmap is {kind!r} and level {level!r}; heatmaps are {', '.join(KINDS)}, levels {', '.join(LEVELS)}"
            )
        if not COUNT.fits(sample):
            raise UserError(f"sample is {sample}; give 1 or more photographs to learn from, 500 are enough")
        self.image_size = check_image_size(image_size)
        self.kind, self.stride, self.batch_size = kind, LEVELS[level], batch_size
        layer = backbones.pyramid(backbone, image_size)[level]
        features = keras.Model(backbone.input, backbone.get_layer(layer).output)
        self._features = tf.function(
            lambda images: features(images, training=False),
            input_signature=[tf.TensorSpec([None, image_size, image_size, 3])],
        )
        self.largest = np.inf
        sizes = [_size(cells, inside) for _, cells, inside, _, _ in self._batches(_some(paths, _MEASURED), "sizes", 0)]
        self.largest = _LARGEST * np.median(np.concatenate(sizes)) or np.inf
        batches = self._batches(_some(paths, sample), "common features", verbose)
        self.centre, self.component = common((cells, inside) for _, cells, inside, _, _ in batches)

    def heatmaps(self, paths, verbose=0):
        """Heatmaps of image files, in order; a broken file is named in the log and left out.

        Args:
            paths: list of str.
            verbose: 0 or 1. Whether to show a progress bar.

        Yields:
            `(place, heat, scale, size)`: int, the place in `paths`; `[h, w]` float32 array in [0, 1], the picture's
            part of the letterboxed image, all 0 where nothing stands out; float, letterboxed over original pixels; and
            (height, width) of the original in pixels.
        """
        for places, cells, inside, scales, sizes in self._batches(paths, "heatmaps", verbose):
            cells = tf.constant(cells - self.centre)
            if self.kind == "component":
                maps = tf.tensordot(cells, self.component, 1)  # [B, h, w]
            else:
                maps = likeness.contributions(cells, likeness.embedding(cells, inside), inside)
            for place, cut, scale, size in zip(places, tf.nn.relu(maps).numpy(), scales, sizes):
                yield int(place), self._enlarged(cut, scale * size), float(scale), tuple(map(int, size))

    def _enlarged(self, cut, sides):
        """The cells of the picture as its pixels; its outer cells go on to its edges."""
        height, width = np.maximum(np.rint(sides), 1).astype(int)
        rows, columns = (np.maximum(np.rint(sides / self.stride), 1)).astype(int)
        cut = cut[:rows, :columns].astype(np.float32)
        heat = enlarge(cut[None], (rows * self.stride, columns * self.stride))[0][:height, :width]
        beyond = [(0, max(0, side - there)) for side, there in zip((height, width), heat.shape)]
        return np.pad(heat, beyond, "edge")

    def _batches(self, paths, title, verbose):
        """Batches of places, cells `[B, h, w, C]` in float64, which of them show the picture, scales and sizes."""
        with tqdm.tqdm(total=len(paths), desc=title, unit="image", disable=not verbose) as bar:
            for places, images, scales, sizes in letterboxed_batches(paths, self.image_size, self.batch_size):
                # Random networks give 1e-18, whose square is too little for float32: hence float64.
                cells = tf.cast(self._features(images), tf.float64).numpy()
                scales, sizes = scales.numpy(), sizes.numpy()
                inside = _inside(sizes * scales[:, None], self.image_size, self.stride)
                yield places, bounded(cells, inside, self.largest), inside, scales, sizes
                bar.update(len(places))


def bounded(cells, inside, largest):
    """The cells of photographs, `[B, h, w, C]`; those of one that is larger than `largest` are scaled down to it."""
    size = _size(cells, inside)
    scale = np.divide(largest, size, out=np.ones_like(size), where=size > largest)
    return cells * scale[:, None, None, None]


def _size(cells, inside):
    """The root mean square length of the cells that show the picture, `[B]`."""
    squares = np.square(cells).sum(-1)
    return np.sqrt((squares * inside).sum((1, 2)) / inside.sum((1, 2)))


def _some(paths, count):
    """At most so many of them, evenly chosen."""
    return [paths[place] for place in np.unique(np.linspace(0, len(paths) - 1, min(count, len(paths))).astype(int))]


def common(batches):
    """What cells have in common, and what they differ in most.

    Args:
        batches: iterable of cells `[B, h, w, C]` float64 and which of them count, `[B, h, w]` bool.

    Returns:
        The mean `[C]` and the first principal component `[C]`, float64. The component points from the cells at the
        border of the pictures to those within.

    Raises:
        UserError: if no cell lies within.
    """
    counts, sums, second = np.zeros(2), 0.0, 0.0  # of cells at the border and of those within
    for cells, inside in batches:
        inner = _inner(inside)
        groups = [cells[inside & ~inner], cells[inner]]
        counts = counts + [len(group) for group in groups]
        sums = sums + np.stack([group.sum(0) for group in groups])
        second = second + sum(group.T @ group for group in groups)
    if not counts[1]:
        raise UserError("no cell lies within a picture, all at its border; take a larger image_size or a finer level")
    mean = sums.sum(0) / counts.sum()
    component = np.linalg.eigh(second / counts.sum() - np.outer(mean, mean))[1][:, -1]
    border, within = sums / counts[:, None]
    return mean, component if component @ (within - border) >= 0 else -component


def _inside(sides, image_size, stride):
    """The cells whose centres lie in the picture: `[B, h, w]`, of pictures of `[B, 2]` pixels."""
    centres = np.arange(stride / 2, image_size, stride)
    down, across = (centres < np.maximum(sides[:, axis : axis + 1], stride) for axis in (0, 1))
    return down[:, :, None] & across[:, None]


def _inner(inside):
    """The cells whose neighbours above, below, left and right all show the picture, too."""
    padded = np.pad(inside, [(0, 0), (1, 1), (1, 1)])
    beside = (padded[:, :-2, 1:-1], padded[:, 2:, 1:-1], padded[:, 1:-1, :-2], padded[:, 1:-1, 2:])
    return inside & np.logical_and.reduce(beside)
