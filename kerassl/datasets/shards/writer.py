"""Many image files into a few large ones."""

import hashlib
import io
import itertools
import logging
import pathlib
import typing

import numpy as np
import PIL.Image
from tqdm import tqdm

from kerassl._display import printable
from kerassl._errors import UserError
from kerassl._io import files as _files
from kerassl._io.manifest import checksum
from kerassl._lazy import tf
from kerassl.datasets.class_names import check_class_names, check_numbering
from kerassl.datasets.image_folder import image_files
from kerassl.datasets.images.decoding import decode
from kerassl.datasets.images.faults import fault
from kerassl.datasets.images.image_bytes import image_bytes, path_tensor
from kerassl.datasets.pipeline.row_cache import files_identity
from kerassl.datasets.pipeline.stream import check_readable
from kerassl.datasets.record import Record
from kerassl.datasets.shards.example import shard_example
from kerassl.datasets.shards.index import NAME, ShardIndex
from kerassl.datasets.shards.lock import alone, shards_from_before

log = logging.getLogger("kerassl")


class WrittenShards(typing.NamedTuple):
    """What `write_shards` did.

    Attributes:
        images: int, in all shards.
        shards: int.
        kept: int, the shards that stood there already, whole.
        broken: list of (file, reason), left out.
    """

    images: int
    shards: int
    kept: int
    broken: list


def write_shards(
    images, folder, *, classes=None, image_size=None, quality=90, per_shard=1000, workers=2, progress=True
):
    """Packs images, and labels if there are any, into TFRecord shards, shrunk, for `shards` and `labeled_shards`.

    Start it again to go on where it was stopped: shards whose checksum is right and whose files have not changed are
    kept, damaged and missing ones are written again, and none ever stands there half. Files that cannot be decoded are
    left out, and named in the log and in `index.json`.

    A record is a `tf.train.Example` of `image/encoded`, `image/height`, `image/width` and `image/filename`; labels have
    the names of TensorFlow's Object Detection API, see `shard_example`. Boxes follow where images are shrunk.

    Args:
        images: folder (with all folders in it), file, or sequence of those; see `image_files`. Or list of `Record`,
            whose boxes, classes, difficult and crowd flags and ids are packed along.
        folder: str or `pathlib.Path`. A new folder, or one that was written before with the same settings.
        classes: sequence of str, the names of the records' classes, which `index.json` keeps; None without labels.
        image_size: int or None. Larger images are shrunk until their short side has so many pixels, and encoded as
            JPEG; smaller ones, and with None all, are taken as they are, byte for byte. Twice the side of the views
            is plenty.
        quality: int from 1 to 100, of the JPEGs. 90 is hard to tell from the original.
        per_shard: int. Images a shard: shards of 50 to 500 MB are handy.
        workers: int. Images that are decoded and encoded side by side.
        progress: bool. Show a bar.

    Returns:
        `WrittenShards`.

    Raises:
        UserError: if no image is found or can be read, the folder holds something else or was written with other
            settings, another process writes to it, it cannot be written, an argument is out of range, records have no
            `classes` or one beyond them, or an image id stands twice.

    Example:
        >>> kerassl.datasets.write_shards("photos", "shards", image_size=320)
        >>> images = kerassl.datasets.shards("shards", image_size=160, batch_size=64)
        >>> records = kerassl.datasets.voc_records("VOCdevkit", 2007, "trainval")
        >>> kerassl.datasets.write_shards(records, "labeled", classes=kerassl.datasets.VOC_CLASSES)
    """
    _check(image_size, quality, per_shard, workers)
    settings = {"image_size": image_size, "quality": quality, "per_shard": per_shard}
    if _are_records(images, classes):
        settings["classes"] = check_class_names(classes)
        _check_labels(images, settings["classes"])
        files, labels = [record.path for record in images], images
    else:
        files = image_files(images)
        labels = [None] * len(files)
    folder, given = pathlib.Path(folder), list(zip(files, labels))
    check_readable(files, image_bytes(files))  # before the folder is touched
    with alone(folder) as manifest:
        before = shards_from_before(folder, settings)
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
                        f"the shard {folder / name} could not be written ({reason}); make room or mend the folder and "
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


def _are_records(images, classes):
    given = images if isinstance(images, (list, tuple)) else []
    count = sum(isinstance(each, Record) for each in given)
    if count and count < len(given):
        raise UserError(f"{count} of {len(given)} images are records and the others are none; give either")
    if count and classes is None:
        raise UserError("classes is missing, the names of the records' classes; give them, as datasets.VOC_CLASSES")
    if not count and classes is not None:
        raise UserError("classes is given, but images without labels; give records, as those of voc_records")
    return bool(count)


def _check_labels(records, classes):
    check_numbering(records, classes)
    ids = set()
    for record in records:
        if record.image_id in ids:
            raise UserError(f"the image id {record.image_id} stands twice; give each record an id of its own")
        ids.add(record.image_id)
        beyond = [label for label in record.classes if not 0 <= label < len(classes)]
        if beyond:
            raise UserError(f"{record.path} has class {beyond[0]}, but classes names {len(classes)}; name them all")


def _source(part):
    """What tells a shard's images and labels from others, and from themselves after a change."""
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
