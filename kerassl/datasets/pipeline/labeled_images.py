"""Photographs in shuffled batches with a label each, for training; and what their names say."""

import pathlib

from kerassl._errors import UserError
from kerassl._lazy import tf
from kerassl._numbers import check
from kerassl.datasets.formats.unicode_names import nfc
from kerassl.datasets.image_folder import check_batch_size, image_files
from kerassl.datasets.pipeline.stream import Epochs, broken_files, read_ahead, stream
from kerassl.resizing import centre_crop, check_image_size


def named_classes(paths):
    """The class that the place or the name of each photograph tells.

    In a folder with sub-folders that is the sub-folder that a photograph lies in, at whatever depth. In a flat one it
    is what stands before the first `_` of the file's name. Files that are named one by one have no class.

    Args:
        paths: list of str or `pathlib.Path`, folders and files as `image_files` takes them.

    Returns:
        Dict from file to class, for the files that have one.

    Raises:
        UserError: if a path is missing, or a folder holds no image.
    """
    found = {}
    for folder in map(pathlib.Path, paths):
        if not folder.is_dir():
            continue
        inside = {file: pathlib.Path(file).relative_to(folder).parts for file in image_files(folder)}
        flat = all(len(parts) == 1 for parts in inside.values())
        for file, parts in inside.items():
            if flat and "_" in parts[0]:
                found[file] = nfc(parts[0].partition("_")[0])
            elif len(parts) > 1:
                found[file] = nfc(parts[0])
    return found


def labeled_photographs(paths, labels, image_size, batch_size, *, seed=0):
    """Batches of photographs as `image_folder` gives them, with a label each.

    Args:
        paths: list of str, files.
        labels: list of int, one each.
        image_size, batch_size, seed: as of `image_folder`.

    Returns:
        `tf.data.Dataset` of images `[B, S, S, 3]` float32 in [0, 255] and labels `[B]` int32, in another order each
        epoch, whole batches alone. It has `begin` and `enter`, as that of `image_folder`.

    Raises:
        UserError: if the images do not fill one batch, or none can be read.
    """
    check(seed=seed)
    size, batch_size = check_image_size(image_size), check_batch_size(batch_size)
    steps = len(paths) // batch_size
    if not steps:
        raise UserError(f"{len(paths)} images with a label do not fill one batch of {batch_size}; give more images")
    found, labels = broken_files(False), tf.constant(labels, tf.int32)

    def load(image, index, draw):
        return tf.round(centre_crop(image, size)), labels[index]

    def batches(epochs, skipped):
        rows = stream(
            paths,
            steps * batch_size,
            load,
            shuffle=True,
            seed=seed,
            strict=False,
            epochs=epochs,
            skip=skipped * batch_size,
            broken=found,
            shortest=size,
        )
        batches = rows.map(lambda epoch, row: row).batch(batch_size, drop_remainder=True)
        return read_ahead(batches.apply(tf.data.experimental.assert_cardinality(steps - skipped)))

    def enter(epoch, step, broken=()):
        found.paths.update(map(str, broken))
        return batches(Epochs(epoch), step)

    epochs = Epochs()
    made = batches(epochs, 0)
    made.steps, made.begin, made.enter = steps, epochs.begin, enter  # what `callbacks.Resume` needs
    made.broken = lambda: sorted(found.paths)
    return made
