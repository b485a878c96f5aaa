"""Locations of two views' feature maps that show the same place of the image."""

from __future__ import annotations

import typing

from kerassl._compat import tf
from kerassl._errors import UserError
from kerassl._numbers import COUNT
from kerassl.augment.views import Views


class LocationMatches(typing.NamedTuple):
    """For each location of the first views' feature map, its location of the second views'.

    Locations are counted row by row from the top left: location `row * columns + column`.

    Attributes:
        locations: `[B, locations]` int32, the location in the second view; 0 where there is none, so that it is a
            valid index for `tf.gather`.
        valid: `[B, locations]` bool, whether the second view shows the place at all.
    """

    locations: tf.Tensor
    valid: tf.Tensor


def match_locations(views: Views, stride: int) -> LocationMatches:
    """Find, for every location of the first view, the location of the second that shows the same place of the image.

    The center of a location of the first view is a place of the image, known from the view's box and flip. Its match is
    the location of the second view that contains this place (upper and left edges included). A location whose center
    is outside the second view's box has no match. Only the geometry is used, no pixels.

    Several locations of the first view share a match where the second view shows more of the image. For the other
    direction give `views.swapped()`.

    Args:
        views: `Views` of a batch.
        stride: Int. Side of a location in pixels of the views: 8 for P3, 16 for P4, 32 for P5.

    Returns:
        `LocationMatches`.

    Raises:
        UserError: if the stride is no whole number above 0 that divides the views' side.

    Example:
        >>> matches = kerassl.augment.match_locations(views, stride=32)   # views of 128 px: 4 x 4 locations on P5
        >>> second = tf.gather(second_locations, matches.locations, batch_dims=1)  # [B, 16, D]
        >>> agreement = tf.boolean_mask(tf.reduce_sum(first_locations * second, -1), matches.valid)
    """
    first_grid, second_grid = (_grid(side, stride) for side in (views.first, views.second))
    places = _places(views.first_boxes, views.first_flips, _centers(first_grid))  # [B, locations, 2]
    return LocationMatches(*_containing(views.second_boxes, views.second_flips, places, second_grid))


def location_centers(views: Views, stride: int) -> tf.Tensor:
    """Compute the centers of the first views' feature-map locations in their images.

    Args:
        views: `Views`, of a batch.
        stride: int, as of `match_locations`.

    Returns:
        `[B, locations, 2]` float32, (y, x) from the images' upper left corners, in units of the diagonal of a location
        on the image (the larger of both views'). Centers more than 1 apart are never in one location of either view.
        The centers of `views.swapped()` are in the same units.

    Raises:
        UserError: as of `match_locations`.

    Example:
        >>> places = kerassl.augment.location_centers(views, stride=32)
        >>> far = tf.norm(places[:, :, None] - places[:, None], axis=-1) > 1.5  # [B, locations, locations]

    Reference:
        Xie et al., "Propagate Yourself", 2021, which measures distances by the diagonal of a location.
    """
    grid = _grid(views.first, stride)
    both = tf.stack([views.first_boxes, views.second_boxes])  # [2, B, 4]
    diagonals = tf.reduce_max(tf.norm(both[..., 2:] - both[..., :2], axis=-1), axis=0) / tf.cast(grid, tf.float32)
    return _places(views.first_boxes, views.first_flips, _centers(grid)) / diagonals[:, None, None]


def _grid(images, stride):
    """Number of locations a side."""
    size = images.shape[1]
    if not COUNT.fits(stride) or (size is not None and size % int(stride)):
        raise UserError(f"stride is {stride} for views of {size} px; give one that divides them: 8, 16 or 32")
    return (tf.shape(images)[1] if size is None else size) // int(stride)


def _centers(grid):
    """Centers of a grid's locations as (y, x) in shares of the view's sides, `[locations, 2]`."""
    along = (tf.range(grid, dtype=tf.float32) + 0.5) / tf.cast(grid, tf.float32)
    return tf.reshape(tf.stack(tf.meshgrid(along, along, indexing="ij"), axis=-1), [-1, 2])


def _places(boxes, flips, points):
    """Map points of views `[n, 2]`, in shares of their sides, to shares of the images' sides: `[B, n, 2]`."""
    points = _mirrored(points[None], flips)
    return boxes[:, None, :2] + points * (boxes[:, None, 2:] - boxes[:, None, :2])


def _containing(boxes, flips, places, grid):
    """The locations of views that contain places of the images `[B, n, 2]`, and whether any does."""
    points = (places - boxes[:, None, :2]) / (boxes[:, None, 2:] - boxes[:, None, :2])
    points = _mirrored(points, flips)
    location = tf.cast(tf.floor(points * tf.cast(grid, tf.float32)), tf.int32)  # [B, n, 2]
    valid = tf.reduce_all(tf.logical_and(location >= 0, location < grid), axis=-1)
    return tf.where(valid, location[..., 0] * grid + location[..., 1], 0), valid


def _mirrored(points, flips):
    x = tf.where(flips[:, None], 1.0 - points[..., 1], points[..., 1])  # [B, n]
    return tf.stack([tf.broadcast_to(points[..., 0], tf.shape(x)), x], axis=-1)
