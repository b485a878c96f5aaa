"""InfoNCE over two views of a batch, with the negatives of every replica."""

from __future__ import annotations

import functools
import typing

from kerassl import _compat
from kerassl._compat import keras, tf
from kerassl._errors import UserError
from kerassl._numbers import ABOVE_0, COUNT
from kerassl.losses.replicas import of_all_replicas, place_in_global_batch, several
from kerassl.losses.tiles import in_tiles, log_sum_exp


class Contrast(typing.NamedTuple):
    """Result of `InfoNCE.contrast` on a batch.

    Attributes:
        loss: scalar, what `InfoNCE` returns.
        accuracy: scalar of the loss's type, the share of the global batch's views that are this replica's and are most
            like their other view. Replicas' shares add up.
        views: `[2N, D]`, the normalized embeddings of all replicas: all first views, then all second ones.
    """

    loss: tf.Tensor
    accuracy: tf.Tensor
    views: tf.Tensor


@keras.saving.register_keras_serializable(package="kerassl")
class InfoNCE(_compat.Loss):
    """Compute the InfoNCE (NT-Xent) loss between two views of a batch.

    Every embedding is scored against its other view (the positive) and against the `2N - 2` views of the other
    images (the negatives). Under a distribution strategy the embeddings of all replicas are gathered, with their
    gradients, so that `N` is the global batch; each replica returns its own rows' sum divided by the global `2N`.
    The values of the replicas add up to the loss of the whole batch, and so do their gradients: do not divide again.

    Args:
        temperature: float > 0. Divides the cosine similarities. Smaller values weight hard negatives more; 0.1
            to 0.2 suits small networks.
        decoupled: bool. Leave the positive out of the denominator (DCL), which helps at batches under 1024.
        tile_size: int > 0 or None. How many views' similarities are held at once: memory then grows with
            `N * tile_size` and not with `N * N`, for a third more time; the loss and its gradient are the same. None
            holds all, which is best under some 4,000 images.
        name: str.
        dtype: str. `"float64"` computes in double precision; half precision is raised to float32 in any case.

    Call arguments:
        first, second: `[N, D]` float tensors, row `i` of both from image `i`. Need not be normalized.

    Returns:
        Scalar, float32 or float64: the mean over all `2N` views of the global batch, in nats (on one replica; the
        replica's share of it on several). Identical embeddings give `ln(2N - 1)`, or `ln(2N - 2)` if decoupled; a
        global batch of one image gives 0, with a gradient of 0.

    Raises:
        UserError: if the two batches differ in shape, if every batch is of one image and so has no negative, or if
            `temperature` or `tile_size` is not positive.

    Example:
        >>> loss = kerassl.losses.InfoNCE(temperature=0.1)
        >>> float(loss(tf.ones([4, 8]), tf.ones([4, 8])))  # ln(7)
        1.9459...

    Reference:
        Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations", 2020, eq. 1.
        Yeh et al., "Decoupled Contrastive Learning", 2022, eq. 6 (without the optional weighting).
    """

    def __init__(
        self,
        temperature: float = 0.1,
        decoupled: bool = False,
        tile_size: int | None = None,
        name: str = "info_nce",
        dtype: str | None = None,
    ) -> None:
        if not ABOVE_0.fits(temperature):
            raise UserError(f"temperature is {temperature}; it divides the similarities and must be above 0, as 0.1")
        if tile_size is not None and not COUNT.fits(tile_size):
            raise UserError(f"tile_size is {tile_size}; give the number of views to hold at once, as 1024, or None")
        super().__init__(name=name, dtype=dtype)
        self.temperature = float(temperature)
        self.decoupled = bool(decoupled)
        self.tile_size = tile_size

    def call(self, first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
        return self.contrast(first, second).loss

    def contrast(self, first: tf.Tensor, second: tf.Tensor) -> Contrast:
        """Compute the loss, the contrastive accuracy, and the normalized embeddings.

        Args:
            first, second: as in a call.

        Returns:
            `Contrast`.
        """
        anchors, keys, itself, positive = _gathered(first, second)
        rows = functools.partial(_rows, temperature=self.temperature, decoupled=self.decoupled)
        denominators, right = in_tiles(rows, anchors, keys, [itself, positive], self.tile_size)
        one, two = tf.split(anchors, 2)  # a pair's similarity is asked for twice, once from either side
        positives = tf.tile(tf.reduce_sum(one * two, axis=1) / self.temperature, [2])
        count = tf.shape(keys)[0]
        total = tf.cast(count, keys.dtype)
        # The last batch of an epoch may hold a single image, which has no negatives to learn from.
        losses = tf.where(count > 2, denominators - positives, tf.zeros_like(positives))
        loss = tf.reduce_sum(losses) / total
        return Contrast(loss, tf.reduce_sum(tf.cast(right, keys.dtype)) / total, keys)

    def get_config(self) -> dict:
        return {
            "temperature": self.temperature,
            "decoupled": self.decoupled,
            "tile_size": self.tile_size,
            "name": self.name,
            "dtype": self.dtype,
        }


def _gathered(first, second):
    """This replica's views and those of all, normalized.

    Returns:
        `anchors`: `[2B, D]`, this replica's first views, then its second ones. `keys`: `[2N, D]`, all first views,
        then all second ones. `itself`, `positive`: `[2B]` int32, the keys that are the anchor and its other view.
    """
    if first.shape.rank != 2 or not first.shape.is_compatible_with(second.shape):
        raise UserError(
            f"the two views' embeddings have shapes {tuple(first.shape)} and {tuple(second.shape)}; "
            "both must be [batch, dimensions] and row i of both from image i"
        )
    if first.dtype not in (tf.float32, tf.float64):
        first, second = tf.cast(first, tf.float32), tf.cast(second, tf.float32)
    first, second = tf.math.l2_normalize(first, axis=1), tf.math.l2_normalize(second, axis=1)
    batch = tf.shape(first)[0]
    if first.shape[0] == 1 and several() is None:
        raise UserError("a batch of 1 image has no negatives to contrast with; use a batch of 2 or more")
    offset, total = place_in_global_batch(batch)
    all_first, all_second = of_all_replicas(first), of_all_replicas(second)
    own = offset + tf.range(batch)
    return (
        tf.concat([first, second], axis=0),
        tf.concat([all_first, all_second], axis=0),
        tf.concat([own, total + own], axis=0),
        tf.concat([total + own, own], axis=0),
    )


def _logits(anchors, keys, itself, temperature):
    """Scaled cosine similarities `[rows, 2N]`; a view's similarity to itself is the lowest number of the type.

    The type's own minimum, not a large number: 1e9 is infinite in half precision and not low enough in others.
    """
    logits = tf.matmul(anchors, keys, transpose_b=True) / temperature
    return _with_lowest(logits, itself)


def _with_lowest(logits, columns):
    at = tf.stack([tf.range(tf.shape(logits)[0]), columns], axis=1)
    return tf.tensor_scatter_nd_update(logits, at, tf.fill(tf.shape(columns), logits.dtype.min))


def _rows(anchors, keys, itself, positive, temperature, decoupled):
    """The logarithm of each anchor's denominator, and whether its other view is the key most like it."""
    logits = _logits(anchors, keys, itself, temperature)
    right = tf.equal(tf.argmax(logits, axis=1, output_type=tf.int32), positive)
    if decoupled:
        logits = _with_lowest(logits, positive)
    return log_sum_exp(logits), right
