"""A folder of images with one sub-folder a class."""

from __future__ import annotations

import os
import pathlib
import typing
from collections.abc import Sequence

from kerassl._errors import UserError
from kerassl._io.file_names import by_name, nfc
from kerassl._lazy import tf
from kerassl._numbers import check
from kerassl.datasets.images.files import image_files, is_junk, leads_up
from kerassl.datasets.pipeline.stream import BrokenFiles, check_readable, read_ahead, stream
from kerassl.resizing import center_crop, check_image_size


class LabeledFolder(typing.NamedTuple):
    """A folder of images with one sub-folder a class.

    Attributes:
        batches: `tf.data.Dataset` of images `[B, S, S, 3]` float32 in [0, 255] and labels `[B]` int32.
        class_names: tuple of str; the label `i` is `class_names[i]`.
        counts: tuple of int, the image files of each class, broken ones among them.
    """

    batches: tf.data.Dataset
    class_names: tuple[str, ...]
    counts: tuple[int, ...]


def labeled_folder(
    path: str | os.PathLike,
    image_size: int,
    batch_size: int,
    *,
    class_names: Sequence[str] | None = None,
    strict: bool = False,
) -> LabeledFolder:
    """Make batches of images with the class whose sub-folder they are in, always in the same order.

    Images are resized on the short side and center-cropped, as by `image_folder`. They come class after class and
    sorted by name; the last batch may be smaller. A file that cannot be decoded is counted, named in the log and left
    out; nothing takes its place, which would count another image twice. So the number of batches is known only after
    reading.

    Args:
        path: folder with one sub-folder a class, which may have folders inside. Files beside the sub-folders, and
            sub-folders that other programs left (a name with a dot first, __MACOSX, …), do not count.
        image_size: int. Side of the images in pixels, a multiple of 32.
        batch_size: int. Images a batch.
        class_names: sequence of str or None. The sub-folders to read; their order gives the labels. None reads all,
            sorted.
        strict: bool. Stop at a broken file.

    Returns:
        `LabeledFolder`.

    Raises:
        UserError: if the folder is missing, it holds fewer than two classes, a class in `class_names` is missing or
            named twice, or a class holds no image that can be read.

    Example:
        >>> photos = kerassl.datasets.pipeline.labeled_folder("animals", image_size=96, batch_size=64)
        >>> photos.class_names
        ('cat', 'dog')
        >>> for images, labels in photos.batches:
        ...     features = model.embed(images)
    """
    size, batch_size = check_image_size(image_size), check(batch_size=batch_size)
    names, folders = _classes(pathlib.Path(path), class_names)
    files = [image_files(folder) for folder in folders]
    for own in files:
        check_readable(own)
    paths = [file for own in files for file in own]
    labels = tf.constant([label for label, own in enumerate(files) for _ in own], tf.int32)
    rows = stream(
        paths,
        len(paths),
        lambda image, index, draw: (center_crop(image, size), labels[index], index),
        shuffle=False,
        seed=0,
        strict=strict,
        broken=BrokenFiles(strict, outcome="it is left out"),
        shortest=size,
    )
    # Where files are broken the stream begins again to fill its epoch: an index that does not rise is a repetition.
    rows = rows.scan(-1, lambda last, row: (row[1][2], (row[1], row[1][2] > last)))
    rows = rows.take_while(lambda row, rising: rising)
    batches = read_ahead(rows.map(lambda row, rising: row[:2]).batch(batch_size))
    return LabeledFolder(batches, names, tuple(map(len, files)))


def _is_class(entry):
    return entry.is_dir() and not is_junk(entry.name) and not (entry.is_symlink() and leads_up(entry))


def _classes(path, wanted):
    if not path.is_dir():
        raise UserError(f"there is no folder {path}; give a folder with one sub-folder a class")
    inside = {entry.name: entry for entry in path.iterdir() if _is_class(entry)}
    places = by_name(inside)
    found = sorted(places)
    if not found:
        raise UserError(f"the folder {path} holds no sub-folders; put the images of each class into one of its own")
    if wanted is None:
        wanted = found
    elif isinstance(wanted, str):
        raise UserError(f"class_names is {wanted!r}; give a list of names, as {found[:2]}")
    wanted = tuple(name if name in places else nfc(name) for name in map(str, wanted))
    missing = [name for name in wanted if name not in found]
    if missing:
        raise UserError(f"{path} has no sub-folder for the classes {', '.join(missing)}; it has {', '.join(found)}")
    if len(set(wanted)) < len(wanted):
        raise UserError(f"class_names has a class twice: {', '.join(wanted)}; name each once")
    if len(wanted) < 2:
        raise UserError(
            f"{len(wanted)} class ({', '.join(wanted)}) is to be read from {path}; give two or more sub-folders"
        )
    return wanted, [places[name] for name in wanted]
