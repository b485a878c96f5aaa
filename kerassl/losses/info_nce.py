"""InfoNCE over two views of a batch, with the negatives of every replica."""

import keras
import tensorflow as tf

from kerassl import _compat
from kerassl._errors import UserError


@keras.saving.register_keras_serializable(package="kerassl")
class InfoNCE(_compat.Loss):
    """Contrastive loss over two views of a batch (NT-Xent).

    Every embedding is scored against its other view (the positive) and against the `2N - 2` views of the other
    images (the negatives). Under a distribution strategy the embeddings of all replicas are gathered, with their
    gradients, so that `N` is the global batch; each replica returns its own rows' sum divided by the global `2N`.
    The values of the replicas add up to the loss of the whole batch, and so do their gradients: do not divide again.

    Args:
        temperature: float > 0. Divides the cosine similarities. Lower looks harder at near negatives; 0.1 to 0.2
            suits small networks.
        decoupled: bool. Leave the positive out of the denominator (DCL), which helps at batches under 1024.
        name: str.
        dtype: str. `"float64"` computes in double precision; half precision is raised to float32 in any case.

    Call arguments:
        first, second: `[N, D]` float tensors, row `i` of both from image `i`. Need not be normalised.

    Returns:
        Scalar, float32 or float64: the mean over all `2N` views of the global batch, in nats (on one replica; the
        replica's share of it on several). Identical embeddings give `ln(2N - 1)`, or `ln(2N - 2)` if decoupled.

    Raises:
        UserError: if the two batches differ in shape, if there is a single image and so no negative, or if
            `temperature` is not positive.

    Example:
        >>> loss = kerassl.losses.InfoNCE(temperature=0.1)
        >>> float(loss(tf.ones([4, 8]), tf.ones([4, 8])))  # ln(7)
        1.9459...

    Reference:
        Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations", 2020, eq. 1.
        Yeh et al., "Decoupled Contrastive Learning", 2022, eq. 6 (without the optional weighting).
    """

    def __init__(self, temperature=0.1, decoupled=False, name="info_nce", dtype=None):
        if not temperature > 0:
            raise UserError(f"temperature is {temperature}; it divides the similarities and must be above 0, as 0.1")
        super().__init__(name=name, dtype=dtype)
        self.temperature = float(temperature)
        self.decoupled = bool(decoupled)

    def call(self, first, second):
        logits, positive = contrast_logits(first, second, self.temperature)
        rows = tf.range(tf.shape(logits)[0])
        positive_logits = tf.gather(logits, positive, axis=1, batch_dims=1)  # [2B]
        if self.decoupled:
            at_positive = tf.stack([rows, positive], axis=1)
            lowest = tf.fill(tf.shape(rows), logits.dtype.min)
            logits = tf.tensor_scatter_nd_update(logits, at_positive, lowest)
        losses = tf.reduce_logsumexp(logits, axis=1) - positive_logits  # [2B]
        return tf.reduce_sum(losses) / tf.cast(tf.shape(logits)[1], losses.dtype)

    def get_config(self):
        return {
            "temperature": self.temperature,
            "decoupled": self.decoupled,
            "name": self.name,
            "dtype": self.dtype,
        }


def contrast_logits(first, second, temperature):
    """Scaled cosine similarities of this replica's views to all views of the global batch.

    Args:
        first, second: `[B, D]` float tensors, this replica's embeddings of both views.
        temperature: float > 0.

    Returns:
        `logits`: `[2B, 2N]`, this replica's first views, then its second ones, against all first and all second views
        of the global batch; a view's similarity to itself is the lowest number of the type. `positive`: `[2B]` int32,
        the column of each row's other view.
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
    context = tf.distribute.get_replica_context()
    if context is not None and context.num_replicas_in_sync > 1:
        sizes = context.all_gather(tf.reshape(batch, [1]), axis=0)
        offset = tf.reduce_sum(sizes[: context.replica_id_in_sync_group])
        all_first, all_second = context.all_gather(first, axis=0), context.all_gather(second, axis=0)
    else:
        if first.shape[0] == 1:
            raise UserError("a batch of 1 image has no negatives to contrast with; use a batch of 2 or more")
        offset, all_first, all_second = 0, first, second
    total = tf.shape(all_first)[0]
    anchors = tf.concat([first, second], axis=0)  # [2B, D]
    keys = tf.concat([all_first, all_second], axis=0)  # [2N, D]
    logits = tf.matmul(anchors, keys, transpose_b=True) / temperature  # [2B, 2N]
    own = offset + tf.range(batch)
    itself = tf.concat([own, total + own], axis=0)
    positive = tf.concat([total + own, own], axis=0)
    at_itself = tf.stack([tf.range(2 * batch), itself], axis=1)
    # The type's own minimum, not a large number: 1e9 is infinite in half precision and not low enough in others.
    logits = tf.tensor_scatter_nd_update(logits, at_itself, tf.fill([2 * batch], logits.dtype.min))
    return logits, positive
