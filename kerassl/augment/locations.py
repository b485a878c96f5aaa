"""Cells of two views' feature maps that show the same place of the image."""

import typing

import tensorflow as tf

from kerassl._errors import UserError
from kerassl._numbers import COUNT


class CellMatches(typing.NamedTuple):
    """For each cell of the first views' feature map, its cell of the second views'.

    Cells are counted row by row from the top left: cell `row * columns + column`.

    Attributes:
        cells: `[B, cells]` int32, the cell of the second view; 0 where there is none, so that it can be gathered by.
        valid: `[B, cells]` bool, whether the second view shows the place at all.
    """

    cells: tf.Tensor
    valid: tf.Tensor


def match_cells(views, stride):
    """Finds, for every cell of the first view, the cell of the second view that shows the same place of the image.

    The centre of the first view's cell is a place of the image, known from the view's box and flip. Its match is the
    cell of the second view that contains this place; a cell contains its upper and left edge. A cell whose centre
    lies outside the second view's box has no match. Pixels are not looked at.

    It is no pairing: where the second view shows more of the image, several cells of the first share a match. For
    the other direction give `views.swapped()`.

    Args:
        views: `Views`, of a batch.
        stride: int. Side of a cell in pixels of the views: 8 for P3, 16 for P4, 32 for P5.

    Returns:
        `CellMatches`.

    Raises:
        UserError: if the stride is no whole number above 0 that divides the views' side.

    Example:
        >>> matches = kerassl.augment.match_cells(views, stride=32)   # views of 128 px: 4 x 4 cells on P5
        >>> second = tf.gather(second_cells, matches.cells, batch_dims=1)   # [B, 16, D], cells as the first view's
        >>> agreement = tf.boolean_mask(tf.reduce_sum(first_cells * second, -1), matches.valid)
    """
    first_grid, second_grid = (_grid(side, stride) for side in (views.first, views.second))
    places = _places(views.first_boxes, views.first_flips, _centres(first_grid))  # [B, cells, 2]
    return CellMatches(*_containing(views.second_boxes, views.second_flips, places, second_grid))


def cell_places(views, stride):
    """Where the cells of the first views' feature map lie in their images.

    Args:
        views: `Views`, of a batch.
        stride: int, as of `match_cells`.

    Returns:
        `[B, cells, 2]` float32, the centres' (y, x) from the images' upper left, in units of the diagonal of a cell on
        the image, of the view whose cells are the larger. Places further than 1 apart never lie in one cell of either
        view. The places of `views.swapped()` are in the same units.

    Raises:
        UserError: as of `match_cells`.

    Example:
        >>> places = kerassl.augment.cell_places(views, stride=32)
        >>> far = tf.norm(places[:, :, None] - places[:, None], axis=-1) > 1.5  # [B, cells, cells]

    Reference:
        Xie et al., "Propagate Yourself", 2021, which measures distances by the diagonal of a cell.
    """
    grid = _grid(views.first, stride)
    both = tf.stack([views.first_boxes, views.second_boxes])  # [2, B, 4]
    diagonals = tf.reduce_max(tf.norm(both[..., 2:] - both[..., :2], axis=-1), axis=0) / tf.cast(grid, tf.float32)
    return _places(views.first_boxes, views.first_flips, _centres(grid)) / diagonals[:, None, None]


def _grid(images, stride):
    """How many cells a side has."""
    size = images.shape[1]
    if not COUNT.fits(stride) or (size is not None and size % int(stride)):
        raise UserError(f"stride is {stride} for views of {size} px; give one that divides them: 8, 16 or 32")
    return (tf.shape(images)[1] if size is None else size) // int(stride)


def _centres(grid):
    """Centres of a grid's cells as (y, x) in shares of the view's sides, `[cells, 2]`."""
    along = (tf.range(grid, dtype=tf.float32) + 0.5) / tf.cast(grid, tf.float32)
    return tf.reshape(tf.stack(tf.meshgrid(along, along, indexing="ij"), axis=-1), [-1, 2])


def _places(boxes, flips, points):
    """Where points of views `[n, 2]`, in shares of their sides, lie in shares of the images' sides: `[B, n, 2]`."""
    points = _mirrored(points[None], flips)
    return boxes[:, None, :2] + points * (boxes[:, None, 2:] - boxes[:, None, :2])


def _containing(boxes, flips, places, grid):
    """The cells of views that contain places of the images `[B, n, 2]`, and whether any does."""
    points = (places - boxes[:, None, :2]) / (boxes[:, None, 2:] - boxes[:, None, :2])
    points = _mirrored(points, flips)
    cell = tf.cast(tf.floor(points * tf.cast(grid, tf.float32)), tf.int32)  # [B, n, 2]
    valid = tf.reduce_all(tf.logical_and(cell >= 0, cell < grid), axis=-1)
    return tf.where(valid, cell[..., 0] * grid + cell[..., 1], 0), valid


def _mirrored(points, flips):
    x = tf.where(flips[:, None], 1.0 - points[..., 1], points[..., 1])  # [B, n]
    return tf.stack([tf.broadcast_to(points[..., 0], tf.shape(x)), x], axis=-1)
