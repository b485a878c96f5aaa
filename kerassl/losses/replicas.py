"""What the replicas of a global batch tell each other."""

import tensorflow as tf


def several():
    """The replica context where there is more than one replica, or None."""
    context = tf.distribute.get_replica_context()
    return context if context is not None and context.num_replicas_in_sync > 1 else None


def place_in_global_batch(batch):
    """How many images the replicas before this one hold, and how many all hold together.

    Args:
        batch: scalar int32, the images that this replica holds.

    Returns:
        `offset` and `total`, int or scalar int32; 0 and `batch` on one replica.
    """
    context = several()
    if context is None:
        return 0, batch
    sizes = context.all_gather(tf.reshape(batch, [1]), axis=0)
    return tf.reduce_sum(sizes[: context.replica_id_in_sync_group]), tf.reduce_sum(sizes)


def of_all_replicas(rows):
    """The rows of all replicas in their order, with the gradient: that of each row is the sum over the replicas.

    Args:
        rows: `[B, ...]`, this replica's; the other sides are those of every replica.

    Returns:
        `[N, ...]`; what was given, on one replica.
    """
    context = several()
    if context is None:
        return rows
    return tf.ensure_shape(context.all_gather(rows, axis=0), [None, *rows.shape[1:]])  # which gathering forgets


def shares_added_up(*shares):
    """Figures of the global batch, float32, from scalars that are this replica's shares of them."""
    shares = [tf.cast(share, tf.float32) for share in shares]
    context = several()
    return shares if context is None else context.all_reduce(tf.distribute.ReduceOp.SUM, shares)
