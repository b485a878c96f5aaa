"""Many image files into a few large ones."""

import contextlib
import fcntl
import io
import itertools
import logging
import pathlib
import typing

from kerassl import _compat  # noqa: F401  # isort: skip
import PIL.Image
import tensorflow as tf
from tqdm import tqdm

from kerassl import _files
from kerassl._errors import UserError
from kerassl.datasets.image_folder import image_files
from kerassl.datasets.images import decode, fault
from kerassl.datasets.row_cache import files_identity
from kerassl.datasets.shard_index import NAME, ShardIndex, checksum, read_index
from kerassl.datasets.stream import check_readable

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


def write_shards(images, folder, *, image_size=None, quality=90, per_shard=1000, workers=2, progress=True):
    """Packs images into TFRecord shards, shrunk, for `datasets.shards`.

    Start it again to go on where it was stopped: shards whose checksum is right and whose files have not changed are
    kept, damaged and missing ones are written again, and none ever stands there half. Files that cannot be decoded are
    left out, and named in the log and in `index.json`.

    A record is a `tf.train.Example` of `image/encoded`, `image/height`, `image/width` and `image/filename`.

    Args:
        images: folder (with all folders in it), file, or sequence of those; see `image_files`.
        folder: str or `pathlib.Path`. A new folder, or one that was written before with the same settings.
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
            settings, another process writes to it, it cannot be written, or an argument is out of range.

    Example:
        >>> kerassl.datasets.write_shards("photos", "shards", image_size=320)
        >>> images = kerassl.datasets.shards("shards", image_size=160, batch_size=64)
    """
    _check(image_size, quality, per_shard, workers)
    files, folder = image_files(images), pathlib.Path(folder)
    settings = {"image_size": image_size, "quality": quality, "per_shard": per_shard}
    check_readable(files)  # before the folder is touched
    with _alone(folder):
        before = _found(folder, settings)
        parts = [files[first : first + per_shard] for first in range(0, len(files), per_shard)]
        plan = [(f"shard-{number:05d}.tfrecord", files_identity(part), part) for number, part in enumerate(parts)]
        with tqdm(total=len(files), desc="shards", unit="image", disable=not progress) as bar:
            kept = {}
            for name, source, part in plan:
                entry = before.get(name)
                if entry and entry["source"] == source and _whole(folder / name, entry):
                    kept[name] = entry
                    bar.update(len(part))
            ShardIndex(settings, list(kept.values())).write(folder)
            todo = [each for each in plan if each[0] not in kept]
            rows = iter(_encoded([path for *_, part in todo for path in part], image_size, quality, workers))
            done = dict(kept)
            for name, source, part in todo:
                try:
                    done[name] = _write(folder / name, source, itertools.islice(rows, len(part)), bar)
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
            (folder / NAME).unlink()
            for name in done:
                (folder / name).unlink()
            path, reason = broken[0]
            raise UserError(f"none of {len(files)} images can be read, first {path} {reason}; nothing is written")
        for path in set(folder.glob("shard-*.tfrecord")) - {folder / name for name in done}:
            path.unlink()  # of a longer list of files
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


@contextlib.contextmanager
def _alone(folder):
    """Makes the folder and locks it; where nothing is finished in it at an error, all is again as it was."""
    new = [each for each in (folder, *folder.parents) if not each.exists()]
    before = set() if new else {path.name for path in folder.iterdir()}
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(f"another process is writing to {folder}; wait for it or choose another folder") from None
        for half in folder.glob(".*.part*"):  # of a process that was killed while writing
            half.unlink(missing_ok=True)
        try:
            yield
        except BaseException:
            own = {NAME, ".lock"}
            if {path.name for path in folder.iterdir()} - before <= own:
                for name in own - before:
                    (folder / name).unlink(missing_ok=True)
                with contextlib.suppress(OSError):  # where something else was put there meanwhile
                    for each in new:
                        each.rmdir()
            raise


def _found(folder, settings):
    if not (folder / NAME).is_file():
        others = [path.name for path in folder.iterdir() if path.name != ".lock"]
        if others:
            raise UserError(f"{folder} holds other things ({min(others)}); give a new folder for the shards")
        return {}
    index = read_index(folder)
    if index.settings != settings:
        raise UserError(
            f"{folder} was written with {_told(index.settings)}, not {_told(settings)}; use those settings or a new "
            "folder"
        )
    return {entry["file"]: entry for entry in index.shards}


def _told(settings):
    return ", ".join(f"{name} {value}" for name, value in settings.items())


def _whole(path, entry):
    return path.is_file() and path.stat().st_size == entry["bytes"] and checksum(path) == entry["sha256"]


def _encoded(paths, image_size, quality, workers):
    """(path, bytes, height, width) of each; the bytes of a broken file are empty."""

    def encode(path):
        contents = tf.io.read_file(path)
        image = decode(contents)
        sides = tf.shape(image)[:2]
        if image_size is None:
            return contents, sides
        short = tf.reduce_min(sides)
        scale = tf.cast(image_size, tf.float64) / tf.cast(short, tf.float64)
        smaller = tf.maximum(tf.cast(tf.round(tf.cast(sides, tf.float64) * scale), tf.int32), 1)

        def shrunk():
            encoded = tf.numpy_function(lambda *given: _shrunk(*given, quality), [image, smaller], tf.string)
            return tf.ensure_shape(encoded, []), smaller

        return tf.cond(short > image_size, shrunk, lambda: (contents, sides))

    def attempt(path):
        one = tf.data.Dataset.from_tensors(path).map(encode).ignore_errors()
        blank = tf.data.Dataset.from_tensors((tf.constant(""), tf.zeros([2], tf.int32)))
        contents, sides = one.concatenate(blank).take(1).get_single_element()
        return path, contents, sides

    files = tf.data.Dataset.from_tensor_slices(tf.constant(paths, tf.string))
    return files.map(attempt, num_parallel_calls=workers).prefetch(workers).as_numpy_iterator()


def _shrunk(image, sides, quality):
    # Pillow's threads are not held up by each other, and it resizes several times faster than TensorFlow.
    file = io.BytesIO()
    PIL.Image.fromarray(image).resize(sides[::-1], PIL.Image.BICUBIC).save(file, "JPEG", quality=quality)
    return file.getvalue()


def _write(path, source, rows, bar):
    offsets, broken, position = [], [], 0
    with _files.whole(path) as part:
        with tf.io.TFRecordWriter(str(part)) as file:
            for name, contents, (height, width) in rows:
                bar.update()
                name = name.decode()
                if not contents:
                    broken.append([name, fault(name)])
                    log.warning("left out %s: it %s", *broken[-1])
                    continue
                record = _example(name, contents, height, width)
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


def _example(name, contents, height, width):
    def text(value):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    def number(value):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))

    features = {
        "image/encoded": text(contents),
        "image/filename": text(name.encode()),
        "image/height": number(height),
        "image/width": number(width),
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
