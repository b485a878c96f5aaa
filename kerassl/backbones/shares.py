"""A replica's share of a batch, which may hold no image."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from kerassl._compat import tf

_share = threading.local()  # each replica is traced in a thread of its own


def on_share(network: Callable, inputs: Any) -> Any:
    """Return a network's outputs for a replica's share of a batch, which may be empty.

    TensorFlow's convolutions on CPUs (oneDNN, 2.15 to 2.21) return the shape of their input where there is no image. So
    a blank one goes in its place, which nothing counts: `FastBatchNormalization` leaves it out by `images_counted`, and
    its outputs are cut off.

    Args:
        network: function of `inputs` to a structure of tensors, a row for each image.
        inputs: a tensor or a structure of tensors, `[B, ...]`.

    Returns:
        What `network` returns.
    """
    context, first = tf.distribute.get_replica_context(), tf.nest.flatten(inputs)[0]
    if context is None or context.num_replicas_in_sync == 1 or first.shape[0]:
        return network(inputs)
    count = tf.shape(first)[0]
    blank = tf.cast(count == 0, tf.int32)

    def padded(each):
        rows = tf.pad(each, [[0, blank], *[[0, 0]] * (each.shape.rank - 1)])
        return tf.ensure_shape(rows, [None, *each.shape[1:]])

    _share.counted = 1 - blank
    try:
        outputs = network(tf.nest.map_structure(padded, inputs))
    finally:
        _share.counted = None
    return tf.nest.map_structure(lambda each: each[:count], outputs)


def images_counted() -> tf.Tensor:
    """1 where the images that a network is given are to be counted, 0 where there is but a blank one."""
    counted = getattr(_share, "counted", None)
    return 1 if counted is None else counted
