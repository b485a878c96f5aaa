"""A folder of photographs without labels."""

import os
import pathlib

from kerassl import _compat  # noqa: F401  # isort: skip
import tensorflow as tf

from kerassl._errors import UserError
from kerassl.datasets.images import SUFFIXES, centre_crop, check_image_size
from kerassl.datasets.stream import Epochs, broken_files, stream


def image_files(paths):
    """Finds image files.

    Args:
        paths: str or `pathlib.Path` of a folder (with all folders in it) or of a file, or a sequence of those.

    Returns:
        List of str, sorted within each folder, each file once. In folders only names that end in .jpg, .jpeg, .png,
        .bmp or .webp (in any case) count.

    Raises:
        UserError: if a path is missing, or no image is found.

    Example:
        >>> kerassl.datasets.image_files("photos")
        ['photos/a.jpg', 'photos/more/b.png']
    """
    given = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    found = {}
    for path in map(pathlib.Path, given):
        if path.is_dir():
            inside = [
                os.path.join(folder, name)
                for folder, _, names in os.walk(path, followlinks=True)
                for name in names
                # Names that begin with a dot are other programs' leavings.
                if name.lower().endswith(SUFFIXES) and not name.startswith(".")
            ]
            if not inside:
                raise UserError(f"the folder {path} holds no images; files that end in {', '.join(SUFFIXES)} are read")
            found.update(dict.fromkeys(sorted(inside)))
        elif path.is_file():
            found[str(path)] = None
        else:
            raise UserError(f"there is no file or folder {path}; give a folder of images")
    if not found:
        raise UserError("no image is named; give a folder of images, or a list of files")
    return list(found)


def image_folder(
    paths,
    image_size,
    batch_size,
    *,
    augmentation=None,
    shuffle=True,
    seed=0,
    drop_remainder=True,
    strict=False,
    initial_epoch=0,
):
    """Batches of photographs, resized on the short side and cropped in the middle.

    A file that cannot be decoded is left out, counted and named in the log; another image of the same epoch takes
    its place, so that every epoch has the same number of batches.

    Args:
        paths: folder (with all folders in it), file, or sequence of those; see `image_files`.
        image_size: int. Side of the images in pixels, a multiple of 32.
        batch_size: int. Images a batch.
        augmentation: callable of images `[B, S, S, 3]` and a `[2]` int32 seed, as `augment.SimCLRViews`; or None. The
            seed is (`seed`, number of the batch over all epochs).
        shuffle: bool. Another order each epoch, from `seed` and the number of the epoch.
        seed: int.
        drop_remainder: bool. Leave out the images that fill no batch (others in each epoch, if shuffled). Contrastive
            losses need it: a small last batch has fewer negatives, hence another loss.
        strict: bool. Stop at a broken file.
        initial_epoch: int. The first iteration over the data set counts as this epoch: for a run that goes on.

    Returns:
        `tf.data.Dataset` of known cardinality, of `[B, S, S, 3]` float32 in [0, 255], or of what `augmentation` gives.
        Its `begin(epoch)` makes the next iteration that epoch, and its `enter(epoch, step)` gives the rest of an epoch
        without reading what comes before.

    Raises:
        UserError: if a path is missing, no image is found or can be read, or the images do not fill one batch.

    Example:
        >>> images = kerassl.datasets.image_folder("photos", image_size=160, batch_size=64)
        >>> model.fit(images, epochs=100)
    """
    size, batch_size, seed = check_image_size(image_size), check_batch_size(batch_size), int(seed) % 2**31
    files = image_files(paths)
    steps = len(files) // batch_size if drop_remainder else -(-len(files) // batch_size)
    if not steps:
        raise UserError(
            f"{len(files)} images do not fill one batch of {batch_size}; give a batch_size of at most {len(files)}, "
            "more images, or drop_remainder=False"
        )
    total = min(steps * batch_size, len(files))
    found = broken_files(files, strict)

    def batches(epochs, skipped):
        rows = stream(
            files,
            total,
            lambda image, index, draw: centre_crop(image, size),
            shuffle=shuffle,
            seed=seed,
            strict=strict,
            epochs=epochs,
            skip=skipped * batch_size,
            broken=found,
            shortest=size,
        )
        batches = rows.batch(batch_size, drop_remainder=drop_remainder)
        if augmentation is None:
            batches = batches.map(lambda epochs, images: images)
        else:
            batches = batches.enumerate(start=skipped).map(
                lambda step, row: augmentation(row[1], tf.stack([seed, row[0][0] * steps + tf.cast(step, tf.int32)]))
            )
        known = tf.data.experimental.assert_cardinality(steps - skipped)
        return batches.apply(known).prefetch(tf.data.AUTOTUNE)

    epochs = Epochs(initial_epoch)

    def enter(epoch, step, broken=()):
        found.paths.update(map(str, broken))
        return batches(Epochs(epoch), step)

    images = batches(epochs, 0)
    # What `callbacks.Resume` needs: a data set has no place for it but its attributes.
    images.steps, images.begin, images.enter = steps, epochs.begin, enter
    images.broken = lambda: sorted(found.paths)
    return images


def check_batch_size(batch_size):
    """Refuses what is no number of images.

    Args:
        batch_size: int.

    Returns:
        `batch_size`.

    Raises:
        UserError: if it is no whole number above 0.
    """
    if isinstance(batch_size, bool) or int(batch_size) != batch_size or batch_size < 1:
        raise UserError(f"batch_size is {batch_size}; give a whole number above 0, as 32")
    return int(batch_size)
