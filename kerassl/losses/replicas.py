"""Communication between the replicas of a global batch."""

from __future__ import annotations

from typing import Any

from kerassl._compat import tf


def several() -> tf.distribute.ReplicaContext | None:
    """Return the replica context where there is more than one replica, or None."""
    context = tf.distribute.get_replica_context()
    return context if context is not None and context.num_replicas_in_sync > 1 else None


def place_in_global_batch(batch: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Count the images of the replicas before this one, and those of all replicas, from those of this one (`batch`)."""
    context = several()
    if context is None:
        return 0, batch
    sizes = context.all_gather(tf.reshape(batch, [1]), axis=0)
    return tf.reduce_sum(sizes[: context.replica_id_in_sync_group]), tf.reduce_sum(sizes)


def of_all_replicas(rows: tf.Tensor) -> tf.Tensor:
    """Gather rows `[B, ...]` of all replicas in their order, `[N, ...]`; a row's gradient is the sum over replicas."""
    context = several()
    if context is None:
        return rows
    return tf.ensure_shape(context.all_gather(rows, axis=0), [None, *rows.shape[1:]])  # which gathering forgets


class OverReplicas:
    """Mixed into a Keras loss, before it: replicas return the loss of the global batch, each with its own gradient.

    Keras adds the replicas' losses up as if all of them held the same number of images, and logs them weighted by the
    images that each holds. Where shares are uneven, or empty, neither is the loss of the whole batch. Here the value is
    that of the whole batch on every replica (times what Keras divides by), and the gradient is that of the replica's
    own images, so that gradients add up to that of the whole batch.
    """

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> tf.Tensor:
        value, context = super().__call__(y_true, y_pred, sample_weight), several()  # type: ignore[misc]
        reduction = self.reduction  # type: ignore[attr-defined]
        if context is None or reduction in (None, "none"):
            return value
        if reduction != "sum":  # a mean over the images of this replica
            batch = tf.shape(y_pred)[0]
            _, total = place_in_global_batch(batch)
            value *= tf.cast(context.num_replicas_in_sync * batch, value.dtype) / tf.cast(total, value.dtype)
        whole = context.all_reduce(tf.distribute.ReduceOp.MEAN, tf.stop_gradient(value))
        return value + tf.stop_gradient(whole - value)


def shares_added_up(*shares: tf.Tensor) -> list[tf.Tensor]:
    """Add up the shares of all replicas, as float32."""
    own = [tf.cast(share, tf.float32) for share in shares]
    context = several()
    return own if context is None else context.all_reduce(tf.distribute.ReduceOp.SUM, own)
