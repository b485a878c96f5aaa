"""Functions of many numbers whose bits do not depend on how many there are."""

from __future__ import annotations

from collections.abc import Callable

from kerassl._compat import tf

LANES = 16
"""A multiple of how many float32 any CPU computes at once."""


def lanewise(function: Callable[[tf.Tensor], tf.Tensor], values: tf.Tensor) -> tf.Tensor:
    """Apply `tf.exp`, `tf.cos` and the like to numbers of images so that each image's results depend on it alone.

    A CPU computes numbers by groups and the rest of them one by one, with another last bit. Which ones those are
    depends on the size of the batch; so a replica would make other views of its images than one that has them all.

    Args:
        function: of a float32 tensor, element by element; finite at 0.
        values: `[N]` or `[N, k]` float32.

    Returns:
        Float32 of the shape of `values`.
    """
    rows = values[:, None] if values.shape.rank == 1 else values
    count = rows.shape[1]
    found = function(tf.pad(rows, [[0, 0], [0, -count % LANES]]))[:, :count]
    return found[:, 0] if values.shape.rank == 1 else found
