"""Images as a trained model wants them for prediction: letterboxed, with what leads back to the original pixels."""

import tensorflow as tf

from kerassl import _compat  # noqa: F401
from kerassl._errors import UserError
from kerassl.datasets import images as _images


def letterboxed_batches(images, image_size, batch_size):
    """Reads images for prediction, in order; broken files are named in the log and left out.

    Args:
        images: list of `Record`s, or a folder, a file or a list of those.
        image_size: int, the side of the letterbox in pixels.
        batch_size: int.

    Returns:
        List of the image ids (a record's own; the path as str of a file), and a `tf.data.Dataset` of batches
        `(index int32 [B], image float32 [B, S, S, 3], scale float32 [B], size float32 [B, 2])`, where `index` points
        into the ids, and `size` is height and width of the original in pixels.

    Raises:
        UserError: if there is no image, a path does not exist, or the batch size is not positive.
    """
    if batch_size < 1:
        raise UserError(f"batch_size is {batch_size}; give 1 or more")
    if isinstance(images, (list, tuple)) and images and all(hasattr(image, "image_id") for image in images):
        ids, paths = [record.image_id for record in images], [str(record.path) for record in images]
    else:
        paths = [str(path) for path in _images.image_files(images)]
        ids = paths

    def load(path, index):
        image = _images.decode(path)
        size = tf.cast(tf.shape(image)[:2], tf.float32)
        image, scale = _images.letterbox(image, image_size)
        return index, image, scale, size

    files = tf.data.Dataset.from_tensor_slices((paths, tf.range(len(paths))))
    return ids, _images.load_whole(files, load).batch(batch_size).prefetch(2)
