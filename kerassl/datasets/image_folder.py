"""A folder of photographs without labels."""

import logging
import os
import pathlib

from kerassl._display import printable
from kerassl._errors import UserError
from kerassl.datasets.images.faults import never_read
from kerassl.datasets.images.junk import is_junk
from kerassl.datasets.images.reading import SUFFIXES
from kerassl.datasets.pipeline.row_cache import files_identity
from kerassl.datasets.pipeline.unlabeled_images import check_batch_size, photograph_batches
from kerassl.resizing import check_image_size

log = logging.getLogger("kerassl")


def image_files(paths):
    """Finds image files.

    Args:
        paths: str or `pathlib.Path` of a folder (with all folders in it) or of a file, or a sequence of those.

    Returns:
        List of str, sorted within each folder, each file once. In folders only names that end in .jpg, .jpeg, .png,
        .bmp or .webp (in any case) count, and what operating systems leave there does not (`._a.jpg`, `__MACOSX`).
        Links are followed, except those to a folder above them, and no folder is searched twice.

    Raises:
        UserError: if a path is missing or no file, or no image is found.

    Example:
        >>> kerassl.datasets.image_files("photos")
        ['photos/a.jpg', 'photos/more/b.png']
    """
    given = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    found = {}
    if "" in map(str, given):
        raise UserError("a path of images is empty; give a folder of images, or . for the current one")
    for path in map(pathlib.Path, given):
        if path.is_dir():
            inside = _images_inside(str(path))
            if not inside:
                raise UserError(f"the folder {path} holds no images; files that end in {', '.join(SUFFIXES)} are read")
            found.update(dict.fromkeys(inside))
        elif path.is_file():
            found[str(path)] = None
        elif (reason := never_read(path)) is not None:
            raise UserError(f"{path} {reason}; give a folder of images")
        else:
            raise UserError(f"there is no file or folder {path}; give a folder of images")
    if not found:
        raise UserError("no image is named; give a folder of images, or a list of files")
    return list(found)


def _images_inside(root):
    """Names of image files in a folder and all folders in it; real folders before those that links lead to."""
    files, folders, links, seen = [], [root], [], set()
    while folders or links:
        folder = folders.pop() if folders else links.pop(0)
        try:
            status = os.stat(folder)
            with os.scandir(folder) as entries:
                entries = sorted((entry for entry in entries if not is_junk(entry.name)), key=lambda entry: entry.name)
        except OSError as error:
            log.warning("left out the folder %s: it cannot be read (%s)", printable(folder), error.strerror)
            continue
        place = (status.st_dev, status.st_ino)
        if place in seen and status.st_ino:  # 0 where a file system has no numbers
            continue
        seen.add(place)
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            elif entry.is_symlink() and os.path.isdir(entry.path):
                links += [] if leads_up(entry.path) else [entry.path]
            elif entry.name.lower().endswith(SUFFIXES):
                files.append(entry.path)  # a pipe or a link to nothing, too: it is for the readers to report
    return sorted(files)


def leads_up(link):
    """Return whether a link leads to a folder that it lies in itself, which a search would never come to the end of.

    Args:
        link: str or `pathlib.Path`.

    Returns:
        Bool.
    """
    target = os.path.realpath(link)
    inside = os.path.realpath(os.path.dirname(os.path.abspath(link)))
    return os.path.commonpath([target, inside]) == target


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
    worker=(0, 1),
    cache=None,
):
    """Batches of photographs, resized on the short side and cropped in the middle.

    A file that cannot be decoded is left out, counted and named in the log; another image of the same epoch takes
    its place, so that every epoch has the same number of batches.

    Args:
        paths: folder (with all folders in it), file, or sequence of those; see `image_files`.
        image_size: int. Side of the images in pixels, a multiple of 32.
        batch_size: int. Images a batch.
        augmentation: callable of images `[B, S, S, 3]` float32 and a `[2]` int32 seed, as `augment.SimCLRViews`; or
            None. The seed is (`seed`, number of the batch over all epochs and workers). With an attribute `image_dtype`
            it gets images of that type, as uint8.
        shuffle: bool. Another order each epoch, from `seed` and the number of the epoch.
        seed: int.
        drop_remainder: bool. Leave out the images that fill no batch (others in each epoch, if shuffled). Contrastive
            losses need it: a small last batch has fewer negatives, hence another loss.
        strict: bool. Stop at a broken file.
        initial_epoch: int. The first iteration over the data set counts as this epoch: for a run that goes on.
        worker: (index, count). Which of several workers this is, each of which reads its own share of every epoch's
            order: no image is read by two of them, all have equally many steps, and `batch_size` is this worker's own.
            Make it inside `strategy.distribute_datasets_from_function`, `repeat` it there, and give `fit` its `steps`.
        cache: None, `"memory"` or a folder. Keep the images as they were cropped, so that each file is decoded once;
            those in a folder serve later runs too, until a file is changed. The batches are the same to the bit.

    Returns:
        `tf.data.Dataset` of known cardinality, of `[B, S, S, 3]` float32, whole numbers in [0, 255], or of what
        `augmentation` gives. Its `begin(epoch)` makes the next iteration that epoch, and its `enter(epoch, step)` gives
        the rest of an epoch without reading what comes before.

    Raises:
        UserError: if a path is missing, no image is found or can be read, the images do not fill one batch, or there
            is no room for the cache.

    Example:
        >>> images = kerassl.datasets.image_folder("photos", image_size=160, batch_size=64)
        >>> model.fit(images, epochs=100)
    """
    check_image_size(image_size)  # before a large folder is searched
    check_batch_size(batch_size)
    files = image_files(paths)
    return photograph_batches(
        files,
        image_size,
        batch_size,
        augmentation=augmentation,
        shuffle=shuffle,
        seed=seed,
        drop_remainder=drop_remainder,
        strict=strict,
        initial_epoch=initial_epoch,
        worker=worker,
        cache=cache,
        identity=lambda: files_identity(files),
    )
