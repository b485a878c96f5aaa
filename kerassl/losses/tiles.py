"""Rows of a matrix of similarities, all at once or a tile of them at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kerassl._compat import tf


@tf.custom_gradient
def log_sum_exp(logits: tf.Tensor) -> tf.Tensor:
    """Logarithm of the sum of the exponentials of each row; TensorFlow 2.15's own has no gradient for 0 rows."""
    value = tf.reduce_logsumexp(logits, axis=1)
    return value, lambda upstream: upstream[:, None] * tf.exp(logits - value[:, None])


def in_tiles(
    rows: Callable, anchors: tf.Tensor, keys: tf.Tensor, beside: Sequence[tf.Tensor], tile_size: int | None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Apply a function to every anchor's similarities to the keys, without holding all at once.

    Args:
        rows: function of anchors `[m, D]`, all keys and the `m` rows of each tensor in `beside`, which gives a value
            and a bool of each anchor: `[m]` each. Its values have a gradient by anchors and keys alone.
        anchors: `[M, D]`.
        keys: `[K, D]`.
        beside: list of tensors of `M` rows, without a gradient.
        tile_size: int or None. How many anchors are held against the keys at once, forward and backward: no tile
            outlives its turn. None calls the function once.

    Returns:
        The values and bools of all anchors, `[M]` each.
    """
    if tile_size is None:
        return rows(anchors, keys, *beside)
    count = tf.shape(anchors)[0]
    tiles = tf.maximum((count + tile_size - 1) // tile_size, 1)  # an empty share has an empty one

    def tile(number, *arrays):
        start = number * tile_size
        return [array[start : start + tile_size] for array in arrays]

    @tf.custom_gradient
    def tiled(anchors, keys):
        def forward(number, values, flags):
            found = rows(*tile(number, anchors), keys, *tile(number, *beside))
            return number + 1, values.write(number, found[0]), flags.write(number, found[1])

        arrays = [
            tf.TensorArray(dtype, size=tiles, element_shape=[None], infer_shape=False)
            for dtype in (anchors.dtype, tf.bool)
        ]
        _, values, flags = tf.while_loop(
            lambda number, *_: number < tiles, forward, [0, *arrays], parallel_iterations=1
        )

        def gradient(of_values, of_flags):
            del of_flags

            def backward(number, by_anchors, by_keys):
                upstream, part, *others = tile(number, of_values, anchors, *beside)
                with tf.GradientTape() as tape:
                    tape.watch([part, keys])
                    value, _ = rows(part, keys, *others)
                by_part, more = tape.gradient(value, [part, keys], output_gradients=upstream)
                return number + 1, by_anchors.write(number, by_part), by_keys + more

            shape = [None, anchors.shape[1]]
            by_anchors = tf.TensorArray(anchors.dtype, size=tiles, element_shape=shape, infer_shape=False)
            _, by_anchors, by_keys = tf.while_loop(
                lambda number, *_: number < tiles,
                backward,
                [0, by_anchors, tf.zeros_like(keys)],
                parallel_iterations=1,
            )
            return by_anchors.concat(), by_keys

        return (values.concat(), flags.concat()), gradient

    return tiled(anchors, keys)
