"""Images in shuffled batches with a label each, for training; and the labels in their paths."""

from __future__ import annotations

import os
import pathlib
import typing
from collections.abc import Iterable, Sequence

from kerassl._io.file_names import nfc
from kerassl._lazy import tf
from kerassl._numbers import check
from kerassl.datasets.images.files import image_files
from kerassl.datasets.pipeline.stream import number_of_steps, resumable
from kerassl.resizing import center_crop, check_image_size

if typing.TYPE_CHECKING:
    from kerassl.datasets.pipeline.resumable import ResumableDataset


def named_classes(paths: Iterable[str | os.PathLike]) -> dict[str, str]:
    """Return the class that the folder or the name of each image names.

    In a folder with sub-folders that is the sub-folder that an image is in, at whatever depth. In a flat one it is
    what is before the first `_` of the file's name. Files that are given one by one have no class.

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


def labeled_images(
    paths: Sequence[str], labels: Sequence[int], image_size: int, batch_size: int, *, seed: int = 0
) -> ResumableDataset:
    """Make batches of images as `image_folder` does, with a label each.

    Args:
        paths: list of str, files.
        labels: list of int, one each.
        image_size, batch_size, seed: see `image_folder`.

    Returns:
        `ResumableDataset` of images `[B, S, S, 3]` float32 in [0, 255] and labels `[B]` int32, in another order each
        epoch, whole batches alone.

    Raises:
        UserError: if the images do not fill one batch, or none can be read.
    """
    check(seed=seed)
    size, batch_size = check_image_size(image_size), check(batch_size=batch_size)
    steps = number_of_steps(len(paths), batch_size, kind=" with a label")
    labels = tf.constant(labels, tf.int32)

    def load(image, index, draw):
        return tf.round(center_crop(image, size)), labels[index]

    def finish(rows, step):
        return rows.map(lambda epoch, row: row).batch(batch_size, drop_remainder=True)

    return resumable(paths, load, finish, steps, batch_size, shuffle=True, seed=seed, shortest=size)
