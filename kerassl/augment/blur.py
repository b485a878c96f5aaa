"""Gaussian blur with each image's own width."""

from __future__ import annotations

from kerassl._compat import tf
from kerassl.augment.lanes import lanewise


def gaussian_blur(images: tf.Tensor, sigmas: tf.Tensor, radius: int) -> tf.Tensor:
    """Blur images `[N, H, W, 3]` float32 in [0, 255], along the height and then along the width.

    Each direction is a sum of shifted images. On a CPU, shifted sums of ops take ten times as long as one compiled
    kernel, for every product goes through memory. At the borders the kernel is cut off and divided by what is left
    of it, so that edges do not darken.

    Args:
        images: Images of known height and width.
        sigmas: `[N]` float32, in pixels; 0 leaves the image as it is.
        radius: The kernel has `2 * radius + 1` taps.
    """
    _, height, width, channels = images.shape
    distance = tf.range(-radius, radius + 1, dtype=tf.float32)
    # The bound keeps sigma 0 finite; at it, the neighbor's weight is already exp(-5000), which is 0.
    weights = lanewise(tf.exp, tf.square(distance / tf.maximum(sigmas, 0.01)[:, None]) / -2.0)  # [N, taps]
    rows = tf.reshape(images, [-1, height, width * channels])
    # Padded outside the kernels: inside them every tap would ask whether it is within the image.
    rows = tf.pad(rows, [[0, 0], [radius, radius], [0, 0]])
    rows = _along_height(rows, weights, 1.0 / _kept(weights, height))
    rows = tf.pad(rows, [[0, 0], [0, 0], [radius * channels, radius * channels]])
    rows = _along_width(rows, weights, tf.repeat(1.0 / _kept(weights, width), channels, axis=1), channels)
    return tf.ensure_shape(tf.reshape(rows, tf.shape(images)), images.shape)


def _kept(weights, size):
    """Return the share of the kernel within the image, for each place along a side: `[N, size]`."""
    radius = weights.shape[1] // 2
    place = tf.range(size)[None] + tf.range(-radius, radius + 1)[:, None]  # [taps, size]
    return tf.matmul(weights, tf.cast(tf.logical_and(place >= 0, place < size), tf.float32))


@tf.function(jit_compile=True, autograph=False)
def _along_height(rows, weights, scale):
    """`[N, H + 2 radius, W * 3]` to `[N, H, W * 3]`."""
    taps = weights.shape[1]
    height = rows.shape[1] - taps + 1
    total = sum(weights[:, tap, None, None] * rows[:, tap : tap + height] for tap in range(taps))
    return total * scale[:, :, None]


@tf.function(jit_compile=True, autograph=False)
def _along_width(rows, weights, scale, step):
    """`[N, H, (W + 2 radius) * step]` to `[N, H, W * step]`, in [0, 255]: sums leave it by a rounding."""
    taps = weights.shape[1]
    width = rows.shape[2] - (taps - 1) * step
    total = sum(weights[:, tap, None, None] * rows[:, :, tap * step : tap * step + width] for tap in range(taps))
    return tf.clip_by_value(total * scale[:, None], 0.0, 255.0)
