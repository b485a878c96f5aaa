"""A folder of photographs with one sub-folder a class."""

import pathlib
import typing

from kerassl import _compat  # noqa: F401  # isort: skip
import tensorflow as tf

from kerassl._errors import UserError
from kerassl.datasets.formats.unicode_names import by_name, nfc
from kerassl.datasets.image_folder import check_batch_size, image_files, leads_up
from kerassl.datasets.images.junk import is_junk
from kerassl.datasets.pipeline.stream import broken_files, check_readable, read_ahead, stream
from kerassl.resizing import centre_crop, check_image_size


class LabeledFolder(typing.NamedTuple):
    """What `labeled_folder` gives.

    Attributes:
        batches: `tf.data.Dataset` of images `[B, S, S, 3]` float32 in [0, 255] and labels `[B]` int32.
        classes: tuple of str; the label `i` stands for `classes[i]`.
        counts: tuple of int, the image files of each class, broken ones among them.
    """

    batches: tf.data.Dataset
    classes: tuple
    counts: tuple


def labeled_folder(path, image_size, batch_size, *, classes=None, strict=False):
    """Batches of photographs with the class whose sub-folder they lie in, always in the same order.

    Images are resized on the short side and cropped in the middle, as `image_folder` does. They come class after
    class and sorted by name; the last batch may be smaller. A file that cannot be decoded is counted, named in the
    log and left out; nothing takes its place, which would count another image twice. So the number of batches is known
    only after reading.

    Args:
        path: folder with one sub-folder a class, which may have folders inside. Files beside the sub-folders, and
            sub-folders that other programs left (a name with a dot first, __MACOSX, …), do not count.
        image_size: int. Side of the images in pixels, a multiple of 32.
        batch_size: int. Images a batch.
        classes: sequence of str or None. The sub-folders to read; their order gives the labels. None reads all,
            sorted.
        strict: bool. Stop at a broken file.

    Returns:
        `LabeledFolder`: the batches, the names of the classes and the files of each.

    Raises:
        UserError: if the folder is missing, it holds fewer than two classes, a class in `classes` is missing or named
            twice, or a class holds no image that can be read.

    Example:
        >>> photos = kerassl.datasets.labeled_folder("animals", image_size=96, batch_size=64)
        >>> photos.classes
        ('cat', 'dog')
        >>> for images, labels in photos.batches:
        ...     features = model.embed(images)
    """
    size, batch_size = check_image_size(image_size), check_batch_size(batch_size)
    classes, folders = _classes(pathlib.Path(path), classes)
    files = [image_files(folder) for folder in folders]
    for own in files:
        check_readable(own)
    paths = [file for own in files for file in own]
    labels = tf.constant([label for label, own in enumerate(files) for _ in own], tf.int32)
    rows = stream(
        paths,
        len(paths),
        lambda image, index, draw: (centre_crop(image, size), labels[index], index),
        shuffle=False,
        seed=0,
        strict=strict,
        broken=broken_files(strict, outcome="it is left out"),
        shortest=size,
    )
    # Where files are broken the stream begins anew to fill its epoch: an index that does not rise is a repetition.
    rows = rows.scan(-1, lambda last, row: (row[1][2], (row[1], row[1][2] > last)))
    rows = rows.take_while(lambda row, rising: rising)
    batches = read_ahead(rows.map(lambda row, rising: row[:2]).batch(batch_size))
    return LabeledFolder(batches, classes, tuple(map(len, files)))


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
        raise UserError(f"classes is {wanted!r}; give a list of names, as {found[:2]}")
    wanted = tuple(name if name in places else nfc(name) for name in map(str, wanted))
    missing = [name for name in wanted if name not in found]
    if missing:
        raise UserError(f"{path} has no sub-folder for the classes {', '.join(missing)}; it has {', '.join(found)}")
    if len(set(wanted)) < len(wanted):
        raise UserError(f"classes names a class twice: {', '.join(wanted)}; name each once")
    if len(wanted) < 2:
        raise UserError(
            f"{len(wanted)} class ({', '.join(wanted)}) is to be read from {path}; there must be two or more "
            "sub-folders to tell apart"
        )
    return wanted, [places[name] for name in wanted]
