"""Image files in a request, decoded in the graph of a servable."""

from __future__ import annotations

from kerassl._compat import tf
from kerassl.datasets.images.decoding import MAX_PIXELS, decode
from kerassl.resizing import letterbox


def read_encoded(
    contents: tf.Tensor, image_size: int, *, max_pixels: int = MAX_PIXELS
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """Decode and letterbox a batch of encoded images in the graph, as `detectors.predict` does with files.

    An operation that fails ends its whole call. So the images are mapped over as a data set, which leaves out what
    fails, and what is left goes back to its places.

    Args:
        contents: `[B]` string tensor, whole JPEG, PNG or BMP files. GIF, WebP and BMPs of other than 24 bits need
            Pillow, and so Python: here they are not valid.
        image_size: int, the side of the letterbox in pixels.
        max_pixels: int. An image of more pixels, by its header, is refused before memory is taken for it.

    Returns:
        Images `[B, S, S, 3]` float32 in [0, 255]; scales `[B]` float32, letterboxed over original pixels; sizes
        `[B, 2]` float32, height and width of the originals as people see them; and valid `[B]` bool. An image that
        cannot be decoded is a black one of the letterbox's size.
    """
    count = tf.size(contents)

    def load(place, one):
        image = decode(one, max_pixels=max_pixels, pillow=False)
        boxed, scale = letterbox(image, image_size)
        return place, boxed, scale, tf.cast(tf.shape(image)[:2], tf.float32)

    files = tf.data.Dataset.from_tensor_slices((tf.range(count), contents))
    good = files.map(load, num_parallel_calls=tf.data.AUTOTUNE).ignore_errors()
    # One row more, so that there is a batch where no image is good.
    blank = count, tf.zeros([image_size, image_size, 3]), tf.constant(1.0), tf.fill([2], float(image_size))
    rows = good.concatenate(tf.data.Dataset.from_tensors(blank)).batch(tf.cast(count, tf.int64) + 1)
    places, boxed, scales, sizes = rows.get_single_element()
    places = places[:, None]
    images = tf.scatter_nd(places, boxed, [count + 1, image_size, image_size, 3])
    scales = tf.tensor_scatter_nd_update(tf.ones([count + 1]), places, scales)
    sizes = tf.tensor_scatter_nd_update(tf.fill([count + 1, 2], float(image_size)), places, sizes)
    valid = tf.scatter_nd(places, tf.ones_like(places[:, 0]), [count + 1]) > 0
    return tf.ensure_shape(images, [None, image_size, image_size, 3])[:-1], scales[:-1], sizes[:-1], valid[:-1]
