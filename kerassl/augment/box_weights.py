"""Weights of boxes on their way through augmentation."""

from __future__ import annotations

import typing

from kerassl._lazy import tf

COLUMNS = ("weight", "box_weight", "ignore", "ignored_if_cut")


class BoxWeights(typing.NamedTuple):
    """How much boxes and the background of an image count, on their way through augmentation.

    Attributes:
        boxes: `[n, 4]` float32, the columns `COLUMNS`: factors of a box's loss and of its regression on top of it; 1
            for a region that is ignored; 1 for a box that is ignored where it is cut off, 0 for one that is dropped.
        background: `[]` float32, factor of the loss of locations without an object.
    """

    boxes: tf.Tensor
    background: tf.Tensor

    def whole(self, size: int) -> dict[str, tf.Tensor]:
        """Return what the loss of a detector takes, of one image that fills a square of `size` pixels by itself."""
        names = dict(zip(COLUMNS[:3], tf.unstack(self.boxes, axis=-1)))
        return {**names, "background": tf.fill([4], self.background), "center": tf.fill([2], float(size))}
