"""InfoNCE over matched locations of the two views' feature maps, with the negatives of every replica."""

from __future__ import annotations

import typing

from kerassl._compat import tf
from kerassl._errors import UserError
from kerassl._numbers import COUNT
from kerassl.losses.replicas import of_all_replicas, place_in_global_batch
from kerassl.losses.tiles import in_tiles, log_sum_exp


class DenseContrast(typing.NamedTuple):
    """Result of `dense_info_nce` on a batch: this replica's shares, which add up.

    Attributes:
        loss: scalar, float32 or float64.
        accuracy: scalar of the same type, the share of the valid pairs of the global batch that are this replica's and
            whose anchor is more like its own key than like any negative.
    """

    loss: tf.Tensor
    accuracy: tf.Tensor


def dense_info_nce(
    anchors: tf.Tensor,
    keys: tf.Tensor,
    valid: tf.Tensor,
    temperature: float = 0.1,
    tile_size: int | None = None,
    places: tf.Tensor | None = None,
) -> DenseContrast:
    """Compute InfoNCE over matched locations of two views' feature maps.

    A pair is an anchor, a location of one view, and its key, the location of the other view with the same place.
    Negatives are the valid keys of all *other* images of the global batch. Keys of the same image are none by default:
    neighboring locations see nearly the same pixels, and one key may belong to several anchors, so that many would be
    the positive itself. With `places`, those more than 1 away from the anchor are negatives, too.

    Under a distribution strategy keys are gathered from all replicas, with their gradients; each replica returns its
    own anchors' sum divided by the number of valid pairs of the global batch. The values of the replicas add up to the
    loss of the whole batch, and so do their gradients: do not divide again.

    Args:
        anchors: `[B, P, D]` float, `P` locations of each image. Need not be normalized; half precision is raised to
            float32.
        keys: `[B, P, D]`, the locations that belong to them.
        valid: `[B, P]` bool. A pair that is not valid is neither anchor, positive nor negative.
        temperature: float > 0. Divides the cosine similarities.
        tile_size: int > 0 or None. How many anchors are held against all keys at once: memory then grows with
            `N * P * tile_size` and not with `(N * P) ** 2`; the loss and its gradient are the same. None holds all,
            which is best under some 8,000 pairs.
        places: `[B, P, 2]` float or None. Position of each pair in its image, in units that the caller chooses by how
            near is too near; `augment.location_centers` gives them.

    Returns:
        `DenseContrast`. The loss is the mean over the valid pairs, in nats: `ln(1 + n)` if all locations are identical
        and every anchor has `n` negatives, and 0 if there is no valid pair. An anchor without a negative counts as 0.

    Raises:
        UserError: if the shapes do not belong together, or `temperature` or `tile_size` is not positive.

    Example:
        >>> locations = tf.ones([3, 4, 8])  # 3 images of 4 locations
        >>> float(kerassl.losses.dense_info_nce(locations, locations, tf.ones([3, 4], tf.bool)).loss)  # ln(1 + 8)
        2.1972...

    Reference:
        Wang et al., "Dense Contrastive Learning for Self-Supervised Visual Pre-Training", 2021, eq. 2; matched here by
        the geometry of the views as in Xie et al., "Propagate Yourself", 2021, whose pixel contrast takes distant
        places of the same image for negatives.
    """
    check_contrast(temperature, tile_size)
    if anchors.shape.rank != 3 or not anchors.shape.is_compatible_with(keys.shape) or valid.shape.rank != 2:
        raise UserError(
            f"anchors, keys and valid have shapes {tuple(anchors.shape)}, {tuple(keys.shape)} and "
            f"{tuple(valid.shape)}; they must be [batch, pairs, dimensions] twice and [batch, pairs]"
        )
    if anchors.dtype not in (tf.float32, tf.float64):
        anchors, keys = tf.cast(anchors, tf.float32), tf.cast(keys, tf.float32)
    anchors, keys = tf.math.l2_normalize(anchors, axis=-1), tf.math.l2_normalize(keys, axis=-1)
    batch, pairs, dimensions = tf.shape(anchors)[0], tf.shape(anchors)[1], anchors.shape[2]
    offset, total = place_in_global_batch(batch)
    all_keys = tf.reshape(of_all_replicas(keys), [total * pairs, dimensions])
    all_valid = tf.reshape(of_all_replicas(tf.cast(valid, tf.int32)), [total * pairs]) > 0
    images_of_keys = tf.repeat(tf.range(total), pairs)
    if places is not None:
        places = tf.stop_gradient(tf.cast(places, tf.float32))
        places_of_keys = tf.reshape(of_all_replicas(places), [total * pairs, 2])

    def rows(anchors, keys, images, positives, *places):
        """The logarithm of the sum over the negatives of each anchor, and whether its own key is more like it."""
        logits = tf.matmul(anchors, keys, transpose_b=True) / temperature  # [m, N P]
        near = images[:, None] == images_of_keys
        for place in places:
            distances = tf.add_n([tf.square(place[:, axis, None] - places_of_keys[:, axis]) for axis in (0, 1)])
            near = tf.logical_and(near, distances <= 1.0)
        none = tf.logical_or(near, tf.logical_not(all_valid))
        # The type's own minimum, not a large number: 1e9 is infinite in half precision and not low enough in others.
        logits = tf.where(none, tf.constant(logits.dtype.min, logits.dtype), logits)
        return log_sum_exp(logits), positives > tf.reduce_max(logits, axis=1)

    positives = tf.reshape(tf.reduce_sum(anchors * keys, axis=-1) / temperature, [-1])
    beside = [tf.repeat(offset + tf.range(batch), pairs), tf.stop_gradient(positives)]
    if places is not None:
        beside.append(tf.reshape(places, [batch * pairs, 2]))
    negatives, right = in_tiles(rows, tf.reshape(anchors, [batch * pairs, dimensions]), all_keys, beside, tile_size)
    counts = tf.reshape(valid, [-1])
    # ln(exp(positive) + sum of exp(negative)) - positive
    losses = tf.where(counts, tf.math.softplus(negatives - positives), 0.0)
    right = tf.cast(tf.logical_and(right, counts), losses.dtype)
    number = tf.cast(tf.maximum(tf.reduce_sum(tf.cast(all_valid, tf.int32)), 1), losses.dtype)
    return DenseContrast(tf.reduce_sum(losses) / number, tf.reduce_sum(right) / number)


def check_contrast(temperature: float, tile_size: int | None) -> None:
    if not temperature > 0:
        raise UserError(f"temperature is {temperature}; it divides the similarities and must be above 0, as 0.1")
    if tile_size is not None and not COUNT.fits(tile_size):
        raise UserError(f"tile_size is {tile_size}; give the number of pairs to hold at once, as 1024, or None")
