"""Two views of a batch, and where in the images they were cut."""

from __future__ import annotations

import typing

from kerassl._compat import tf


class Views(typing.NamedTuple):
    """Two views of each image of a batch, with their geometry.

    Row `i` of every field belongs to image `i`. A flipped view shows its crop box mirrored: the view's left edge is
    the box's right edge.

    Attributes:
        first: `[B, S, S, 3]` float32 in [0, 255].
        second: the same.
        first_boxes: `[B, 4]` float32, the crop boxes as (y0, x0, y1, x1) in shares of the image's height and width:
            the image's edges are at 0 and 1.
        second_boxes: the same for the second view.
        first_flips: `[B]` bool, whether the view is mirrored left to right.
        second_flips: the same for the second view.
    """

    first: tf.Tensor
    second: tf.Tensor
    first_boxes: tf.Tensor
    second_boxes: tf.Tensor
    first_flips: tf.Tensor
    second_flips: tf.Tensor

    def swapped(self) -> Views:
        """Return the same views with first and second exchanged."""
        return Views(self.second, self.first, self.second_boxes, self.first_boxes, self.second_flips, self.first_flips)
