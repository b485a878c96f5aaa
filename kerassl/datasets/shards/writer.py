"""Many image files into a few large ones."""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import logging
import os
import pathlib
import typing
from collections.abc import Sequence

import numpy as np
import PIL.Image
from tqdm import tqdm

from kerassl._display import printable
from kerassl._errors import UserError
from kerassl._io import files as _files
from kerassl._io.manifest import checksum
from kerassl._lazy import tf
from kerassl.datasets.images.decoding import decode
from kerassl.datasets.images.faults import fault
from kerassl.datasets.images.files import files_identity, image_files
from kerassl.datasets.images.image_bytes import image_bytes, path_tensor
from kerassl.datasets.images.shard_index import NAME, ShardIndex, read_index
from kerassl.datasets.pipeline.stream import check_readable
from kerassl.datasets.shards.example import shard_example

if typing.TYPE_CHECKING:
    from kerassl.datasets.dataset import DetectionDataset

log = logging.getLogger("kerassl")


class WrittenShards(typing.NamedTuple):
    """Result of `write_shards`.

    Attributes:
        images: int, in all shards.
        shards: int.
        kept: int, the shards that were there already, intact.
        broken: list of (file, reason), left out.
    """

    images: int
    shards: int
    kept: int
    broken: list


def write_shards(
    images: DetectionDataset | str | os.PathLike | Sequence[str | os.PathLike],
    folder: str | os.PathLike,
    *,
    image_size: int | None = None,
    quality: int = 90,
    per_shard: int = 1000,
    workers: int = 2,
    progress: bool = True,
) -> WrittenShards:
    """Pack images into TFRecord shards, with their labels if there are any.

    `image_folder` reads the images, `DetectionDataset.from_shards` the labels.

    Start it again to resume where it was stopped: shards whose checksum is right and whose files have not changed are
    kept, damaged and missing ones are written again, and each appears whole or not at all. Files that cannot be
    decoded are left out, and named in the log and in `index.json`.

    A record is a `tf.train.Example` of `image/encoded`, `image/height`, `image/width` and `image/filename`; labels have
    the names of TensorFlow's Object Detection API, see `shard_example`. Boxes follow where images are shrunk.

    Args:
        images: folder (with all folders in it), file, or sequence of those; see `image_files`. Or `DetectionDataset`,
            whose boxes, classes, difficult and crowd flags, ids and class names are packed along.
        folder: str or `pathlib.Path`. A new folder, or one that was written before with the same settings.
        image_size: int or None. Larger images are shrunk to this short side in pixels, and encoded as
            JPEG; smaller ones, and with None all, are taken as they are, byte for byte. Twice the side of the views
            is plenty.
        quality: int from 1 to 100, of the JPEGs. 90 is hard to distinguish from the original.
        per_shard: int. Images a shard: shards of 50 to 500 MB are handy.
        workers: int. Images that are decoded and encoded side by side.
        progress: bool. Show a bar.

    Returns:
        `WrittenShards`.

    Raises:
        UserError: if no image is found or can be read, the folder holds something else or was written with other
            settings, another process writes to it, it cannot be written, an argument is out of range, or an image id
            is there more than once.

    Example:
        >>> kerassl.datasets.write_shards("photos", "shards", image_size=320)
        >>> images = kerassl.datasets.image_folder("shards", image_size=160, batch_size=64)
        >>> labeled = kerassl.datasets.DetectionDataset.from_voc("VOCdevkit", 2007, "trainval")
        >>> kerassl.datasets.write_shards(labeled, "labeled")
    """
    _check(image_size, quality, per_shard, workers)
    settings: dict = {"image_size": image_size, "quality": quality, "per_shard": per_shard}
    classes, records = getattr(images, "class_names", ()), getattr(images, "records", ())
    if classes:
        settings["classes"] = list(classes)
        weighted = sum(record.weights is not None for record in records)
        if weighted:
            log.warning("%d images packed without the weights of their labels: only a COCO json keeps them", weighted)
        records = [record.without_weights() for record in records]
        files: list = [record.path for record in records]
        labels: Sequence = records
        _check_ids(records)
    else:
        files = image_files(images)
        labels = (None,) * len(files)
    folder, given = pathlib.Path(folder), list(zip(files, labels))
    check_readable(files, image_bytes(files))  # before the folder is touched
    with _claimed(folder) as manifest:
        before = _earlier(folder, settings)
        parts = [given[first : first + per_shard] for first in range(0, len(given), per_shard)]
        plan = [(f"shard-{number:05d}.tfrecord", _source(part), part) for number, part in enumerate(parts)]
        with tqdm(total=len(files), desc="shards", unit="image", disable=not progress) as bar:
            kept = {}
            for name, source, part in plan:
                entry = before.get(name)
                if entry and entry["source"] == source and _whole(folder / name, entry):
                    kept[name] = entry
                    bar.update(len(part))
            ShardIndex(settings, list(kept.values())).write(folder)
            todo = [each for each in plan if each[0] not in kept]
            rows = iter(_encoded([path for *_, part in todo for path, _ in part], image_size, quality, workers))
            done = dict(kept)
            for name, source, part in todo:
                try:
                    packed = zip(part, itertools.islice(rows, len(part)))
                    done[name] = _write(folder / name, source, packed, classes, bar)
                    ShardIndex(settings, [done[each] for each, *_ in plan if each in done]).write(folder)
                except (OSError, tf.errors.OpError) as error:
                    reason = getattr(error, "strerror", None) or getattr(error, "message", error)
                    raise UserError(
                        f"the shard {folder / name} could not be written ({reason}); make room or fix the folder and "
                        f"start again: the {len(done)} finished ones are kept"
                    ) from error
        broken = [tuple(each) for name, *_ in plan for each in done[name]["broken"]]
        count = sum(len(entry["offsets"]) for entry in done.values())
        if not count:
            for name in (NAME, *done):
                manifest.remove(folder / name)
            path, reason = broken[0]
            raise UserError(f"none of {len(files)} images can be read, first {path} {reason}; nothing is written")
        for name in set(before) - set(done):
            manifest.remove(folder / name)  # of a longer list of files
        ShardIndex(settings, [done[name] for name, *_ in plan], True).write(folder)
    if broken:
        log.warning("%d of %d images left out, named in %s", len(broken), len(files), folder / NAME)
    return WrittenShards(count, len(plan), len(kept), broken)


def _check(image_size, quality, per_shard, workers):
    for name, value, most in (
        ("image_size", 1 if image_size is None else image_size, 2**14),
        ("quality", quality, 100),
        ("per_shard", per_shard, 10**6),
        ("workers", workers, 256),
    ):
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
            raise UserError(f"{name} is {value!r}; give a whole number from 1 to {most}")


def _check_ids(records):
    ids = set()
    for record in records:
        if record.image_id in ids:
            raise UserError(f"the image id {record.image_id} is there twice; give each record an id of its own")
        ids.add(record.image_id)


def _source(part):
    """Return the identity of a shard's images and labels, which changes with them."""
    identity = files_identity([path for path, _ in part])
    if part[0][1] is None:
        return identity
    digest = hashlib.sha256(identity.encode())
    for _, record in part:
        digest.update(f"{record.image_id}\0{len(record.classes)}\0".encode("utf-8", "surrogatepass"))
        for values, kind in ((record.boxes, "<f4"), (record.classes, "<i4"), (record.difficult, "?")):
            digest.update(np.ascontiguousarray(values, kind).tobytes())
        if record.crowd.any():  # only then, so that shards without crowds are those of an earlier version
            digest.update(np.ascontiguousarray(record.crowd, "?").tobytes())
    return digest.hexdigest()


def _whole(path, entry):
    return path.is_file() and path.stat().st_size == entry["bytes"] and checksum(path) == entry["sha256"]


def _encoded(paths, image_size, quality, workers):
    """(bytes, (height, width), that before it was shrunk) of each; the bytes of a broken file are empty."""
    read = image_bytes(paths)

    def encode(place, path):
        contents = read(path, place)
        image = decode(contents)
        sides = tf.shape(image)[:2]
        if image_size is None:
            return contents, sides, sides
        short = tf.reduce_min(sides)
        scale = tf.cast(image_size, tf.float64) / tf.cast(short, tf.float64)
        smaller = tf.maximum(tf.cast(tf.round(tf.cast(sides, tf.float64) * scale), tf.int32), 1)

        def shrunk():
            encoded = tf.numpy_function(lambda *given: _shrunk(*given, quality), [image, smaller], tf.string)
            return tf.ensure_shape(encoded, []), smaller

        return *tf.cond(short > image_size, shrunk, lambda: (contents, sides)), sides

    def attempt(place, path):
        one = tf.data.Dataset.from_tensors((place, path)).map(encode).ignore_errors()
        blank = tf.data.Dataset.from_tensors((tf.constant(""), tf.zeros([2], tf.int32), tf.zeros([2], tf.int32)))
        return one.concatenate(blank).take(1).get_single_element()

    files = tf.data.Dataset.from_tensor_slices(path_tensor(paths)).enumerate()
    return files.map(attempt, num_parallel_calls=workers).prefetch(workers).as_numpy_iterator()


def _shrunk(image, sides, quality):
    # Pillow's threads are not held up by each other, and it resizes several times faster than TensorFlow.
    file = io.BytesIO()
    PIL.Image.fromarray(image).resize(sides[::-1], PIL.Image.BICUBIC).save(file, "JPEG", quality=quality)
    return file.getvalue()


def _write(path, source, packed, classes, bar):
    offsets, broken, position = [], [], 0
    with _files.whole(path, state=True) as part:
        with tf.io.TFRecordWriter(str(part)) as file:
            for (name, labels), (contents, stored, original) in packed:
                bar.update()
                if not contents:
                    broken.append([name, fault(name)])
                    log.warning("left out %s: it %s", printable(name), broken[-1][1])
                    continue
                record = shard_example(name, contents, stored, original, labels, classes)
                file.write(record)
                offsets.append(position)
                position += len(record) + 16  # length, its checksum, the record's checksum
        digest = checksum(part)
    return {
        "file": path.name,
        "sha256": digest,
        "bytes": position,
        "source": source,
        "offsets": offsets,
        "broken": broken,
    }


@contextlib.contextmanager
def _claimed(folder):
    """Create the folder and hold it; where nothing is finished in it at an error, it is again as it was."""
    try:
        with _files.claimed(folder, "folder of shards", keep=(NAME,)) as manifest:
            yield manifest
    except OSError as error:
        raise UserError(
            f"shards cannot be written to {folder} ({error.strerror}); make room and start again"
        ) from error


def _earlier(folder, settings):
    """Return the entries of the shards that are in a folder already, complete or not, by the shard's name."""
    if not (folder / NAME).is_file():
        return {}
    index = read_index(folder)
    differing = itertools.zip_longest(index.classes or (), settings.get("classes", ()))
    for number, (there, wanted) in enumerate(differing if index.classes and "classes" in settings else ()):
        if there != wanted:
            raise UserError(
                f"{folder} was written with other classes: that at place {number} is {there or 'none'}, not "
                f"{wanted or 'none'}; give those classes or a new folder"
            )
    if index.settings != settings:
        there, wanted = _settings_text(index.settings, settings), _settings_text(settings, index.settings)
        raise UserError(f"{folder} was written with {there}, not {wanted}; use those settings or a new folder")
    return {entry["file"]: entry for entry in index.shards}


def _settings_text(settings, others):
    text = [f"{name} {value}" for name, value in settings.items() if name != "classes"]
    if ("classes" in settings) != ("classes" in others):
        text.append("labels" if "classes" in settings else "no labels")
    return ", ".join(text)
