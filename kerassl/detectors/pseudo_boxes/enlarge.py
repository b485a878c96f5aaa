"""From the cells of a feature map to the pixels of an image."""

from kerassl._compat import tf


def enlarge(maps, size):
    """Bilinear, with the centres of cells on the centres of the regions that they stand for; the highest value is 1.

    Args:
        maps: `[B, h, w]` float tensor that is not negative.
        size: (height, width) in pixels.

    Returns:
        `[B, height, width]` float32 array in [0, 1]; all 0 where the map is.
    """
    maps = tf.image.resize(maps[..., None], size)[..., 0]
    return tf.math.divide_no_nan(maps, tf.reduce_max(maps, axis=[1, 2], keepdims=True)).numpy()
