"""Gaussian blur with each image's own width."""

import tensorflow as tf


def gaussian_blur(images, sigmas, radius):
    """Blurs square images, along the height and then along the width.

    Each direction is a product with a band matrix, which on a CPU takes less than half the time of shifted sums. At
    the borders the kernel is cut off and divided by what is left of it, so that edges do not darken.

    Args:
        images: `[N, S, S, 3]` float32.
        sigmas: `[N]` float32, in pixels; 0 leaves the image as it is.
        radius: int. The kernel has `2 * radius + 1` taps.

    Returns:
        `[N, S, S, 3]` float32.
    """
    size = tf.shape(images)[1]
    band = _band(size, sigmas, radius)  # [N, S, S]

    def along_height(x):
        return tf.reshape(tf.matmul(band, tf.reshape(x, [-1, size, size * 3])), tf.shape(images))

    across = along_height(tf.transpose(along_height(images), [0, 2, 1, 3]))
    return tf.ensure_shape(tf.transpose(across, [0, 2, 1, 3]), images.shape)


def _band(size, sigmas, radius):
    place = tf.range(size)
    distance = place[:, None] - place[None]  # [S, S]
    near = tf.cast(tf.abs(distance) <= radius, tf.float32)
    squares = tf.cast(distance * distance, tf.float32)
    # The bound keeps sigma 0 finite; at it, the neighbour's weight is already exp(-5000), which is 0.
    sigmas = tf.maximum(sigmas, 0.01)[:, None, None]
    weights = tf.exp(-squares / (2.0 * sigmas * sigmas)) * near
    return weights / tf.reduce_sum(weights, axis=2, keepdims=True)
