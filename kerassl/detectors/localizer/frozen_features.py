"""Feature maps of a frozen backbone, computed once."""

from __future__ import annotations

import contextlib
import copy
import functools
import hashlib
import itertools
import json
import logging
import os
import pathlib
import shutil
import zlib
from collections.abc import Sequence

import numpy as np
import tqdm

from kerassl import backbones
from kerassl._compat import keras, tf
from kerassl._errors import UserError
from kerassl._graphs import graph_of
from kerassl._io import files as _files
from kerassl._numbers import check
from kerassl._version import __version__
from kerassl.backbones import weights as backbone_weights
from kerassl.datasets.images.files import files_identity
from kerassl.datasets.pipeline.letterboxed import letterboxed_batches
from kerassl.datasets.pipeline.row_cache import available_memory
from kerassl.datasets.record import Record
from kerassl.detectors.localizer.levels import NECK_LEVELS, check_neck_levels
from kerassl.resizing import check_image_size

log = logging.getLogger("kerassl")


class FrozenFeatures:
    """Feature maps of images and of their mirror images by a frozen backbone, the inputs of a localizer's head.

    The head is trained on these maps in seconds (`fit_frozen`), and scored on those of other images
    (`detectors.predict`), without running the network again.

    Args:
        backbone: flat functional `keras.Model` of images in [0, 255], as `backbones.build` or `backbones.load` returns
            it. It runs as in prediction, batch normalization with its moving statistics.
        records: list of `datasets.Record`. Those without a box that is not difficult are left out, and broken files,
            which are logged.
        image_size: int, the side of the letterboxed images in pixels, a multiple of 32.
        flip: bool. Compute maps of the mirror images, too: for training.
        cache: None for maps in memory, or str or `pathlib.Path` of a folder. There each pair of network and list of
            images has a folder of its own, which later runs reuse; it may be deleted at any time.
        batch_size: int. Does not change the result.
        levels: sequence of str, as `Localizer` takes them. P3 takes several times the space of the other two.
        verbose: 0 or 1. Whether to show a progress bar.

    Attributes:
        backbone, image_size, levels: as given.
        checksum: str, which identifies this backbone.
        records: list of the N records that were read.
        maps: list with an array for each level, `[N, V, h, w, C]` float32, of V = 2 views (the second mirrored) or 1.
        boxes: `[N, V, 4]` float32, xyxy of the largest object in units of the letterboxed image's side.
        labels: `[N]` int32, its class.

    Raises:
        UserError: if no record has an object that is not difficult, none of the images can be read, the image size, the
            levels or the backbone do not fit, or there is too little memory or disk space for the maps.

    Example:
        >>> records = kerassl.datasets.DetectionDataset.from_voc("VOCdevkit", 2007, "train").subset(1000)
        >>> features = kerassl.detectors.FrozenFeatures(backbone, records, 224, cache="features")
        >>> localizers = [kerassl.detectors.fit_frozen(features, classes, seed=seed) for seed in range(3)]
    """

    def __init__(
        self,
        backbone: keras.Model,
        records: Sequence[Record],
        image_size: int,
        *,
        flip: bool = True,
        cache: str | os.PathLike | None = None,
        batch_size: int = 32,
        levels: Sequence[str] = NECK_LEVELS,
        verbose: int = 0,
    ) -> None:
        image_size = check_image_size(image_size)
        shown = [record for record in records if record.largest() is not None]
        if not shown:
            raise UserError(f"none of {len(records)} images has an object that is not difficult; give images with one")
        self.backbone, self.image_size, self.checksum = backbone, image_size, _checksum(backbone)
        self.levels, layers = check_neck_levels(levels), backbones.pyramid(backbone)
        run = _maps_of(backbone, tuple(layers[level] for level in self.levels), image_size)
        shapes = [(1 + bool(flip), *level.shape[1:]) for level in run(tf.zeros([1, image_size, image_size, 3]))]
        rows = _rows(run, shown, image_size, flip, batch_size, verbose)
        if cache is None:
            places, self.maps = _in_memory(rows, len(shown), shapes)
        else:
            paths = [str(record.path) for record in shown]
            header = {
                "network": backbone.name,
                "checksum": self.checksum,
                "images": files_identity(paths),
                "image_size": image_size,
                "flip": bool(flip),
                "levels": self.levels,
                "kerassl": __version__,
            }
            places, self.maps = _on_disk(rows, len(shown), shapes, pathlib.Path(cache), header)
        self.records = [shown[place] for place in places]
        self.boxes, self.labels = _targets(self.records, image_size, flip)

    def __len__(self) -> int:
        return len(self.records)

    def take(self, rows: Sequence[int]) -> FrozenFeatures:
        """Return the features of some of the images, with statistics of their own; no map is computed or copied.

        Args:
            rows: sequence of int, indices in `records`.

        Returns:
            `FrozenFeatures`.
        """
        chosen = np.asarray(rows, np.int64)
        taken = copy.copy(self)
        taken.__dict__.pop("statistics", None)  # of all of these images, if they were computed
        taken.records = [self.records[row] for row in chosen]
        taken.maps = [_Rows(level, chosen) for level in self.maps]
        taken.boxes, taken.labels = self.boxes[chosen], self.labels[chosen]
        return taken

    @functools.cached_property
    def statistics(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Mean and deviation of each level's channels; see `statistics`."""
        return statistics(self.maps)

    def batches(self, batch_size: int, *, shuffle: bool = False, flip: bool = False, seed: int = 0) -> tf.data.Dataset:
        """Return the maps with their targets, for `fit` and `predict`.

        Args:
            batch_size: int.
            shuffle: bool. Another order each epoch.
            flip: bool. Take the mirror image of half the images, drawn at random again each epoch.
            seed: int.

        Returns:
            `tf.data.Dataset` of (each level's `[B, h, w, C]` float32, `{"class": [B] int32, "box": [B, 4] float32}`).
        """
        check(batch_size=batch_size, seed=seed)
        count, views = len(self), self.boxes.shape[1]
        if flip and views < 2:
            raise UserError("these features have no mirror images; compute them with flip=True")
        rows = tf.data.Dataset.range(count)
        if shuffle:
            rows = rows.shuffle(count, seed=seed, reshuffle_each_iteration=True)
        draws = tf.data.Dataset.random(seed, rerandomize_each_iteration=True).map(lambda draw: draw % 2 * int(flip))
        boxes, labels = tf.constant(self.boxes), tf.constant(self.labels)

        def gather(rows, view):
            # In Python: maps on disk may be larger than memory, and TensorFlow would copy them whole.
            maps = tf.numpy_function(
                lambda rows, view: [level[rows, view] for level in self.maps],
                [rows, view],
                [tf.float32] * len(self.maps),
            )
            maps = tuple(tf.ensure_shape(part, [None, *level.shape[2:]]) for part, level in zip(maps, self.maps))
            return maps, {"class": tf.gather(labels, rows), "box": tf.gather_nd(boxes, tf.stack([rows, view], 1))}

        return tf.data.Dataset.zip((rows, draws)).batch(batch_size).map(gather, num_parallel_calls=2).prefetch(2)


def _maps_of(backbone, layers, image_size):
    """The graph of some feature maps of images; traced once for a backbone, which takes seconds."""
    # Past Keras, which would save the dict as a part of the model.
    functions = backbone.__dict__.setdefault("_maps", {})
    if (layers, image_size) not in functions:
        network = keras.Model(backbone.input, [backbone.get_layer(layer).output for layer in layers])

        def run(images):
            # Keras gives a list of maps, and of a single one the map alone.
            return tf.nest.flatten(network(images, training=False))

        functions[layers, image_size] = graph_of(
            run, input_signature=[tf.TensorSpec([None, image_size, image_size, 3])]
        )
    return functions[layers, image_size]


class _Rows:
    """Some rows of an array that may be on disk, read on demand."""

    def __init__(self, array, rows):
        self._array, self._rows = array, rows
        self.shape = (len(rows), *array.shape[1:])

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, key):
        first, *others = key if isinstance(key, tuple) else (key,)
        return self._array[(self._rows[first], *others)]


def statistics(maps: Sequence[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Compute mean and deviation of each channel, by which feature maps are standardized.

    The deviation is at least a tenth of the channels' root mean square: a channel that is close to 0 in these images
    would otherwise dominate the others in an image where it is not.

    Args:
        maps: list of arrays, `[…, C]` each.

    Returns:
        For each of them a pair of `[C]` float32, mean and deviation.
    """
    moments = [_moments(level) for level in maps]
    return [(mean, np.maximum(deviation, 0.1 * _norm(deviation))) for mean, deviation in moments]


def _moments(level):
    """Mean and deviation by channel. Random networks give 1e-18, whose square is 0: in units of the first image."""
    unit = np.abs(level[0]).max() or np.float32(1)
    first = level[0].reshape(-1, level.shape[-1]).mean(0) / unit  # sums of small numbers keep their digits
    total, squares, count = 0.0, 0.0, 0
    for start in range(0, len(level), 16):
        rows = level[start : start + 16].reshape(-1, level.shape[-1]) / unit - first
        total = total + rows.mean(0).astype(np.float64) * len(rows)
        squares = squares + np.einsum("nc,nc->c", rows, rows).astype(np.float64)
        count += len(rows)
    mean = total / count
    deviation = np.sqrt(np.maximum(squares / count - np.square(mean), 0.0))
    return ((first + mean) * unit).astype(np.float32), (deviation * unit).astype(np.float32)


def _norm(deviation):
    """Root mean square; 1 where all maps are constant."""
    return np.sqrt(np.mean(np.square(deviation, dtype=np.float64))).astype(np.float32) or np.float32(1)


def check_backbone(features: FrozenFeatures, backbone: keras.Model, image_size: int, levels: tuple[str, ...]) -> None:
    """Refuse features of another backbone, image size or levels than given, or of one that was changed since."""
    if image_size != features.image_size:
        raise UserError(
            f"these features are those of images of {features.image_size} px, and the localizer takes {image_size} px; "
            f"compute FrozenFeatures with image_size={image_size}"
        )
    if levels != features.levels:
        raise UserError(
            f"these features are those of {', '.join(features.levels)}, and the localizer takes {', '.join(levels)}; "
            "give both the same levels"
        )
    if _checksum(backbone) != features.checksum:
        raise UserError(
            f"these features are those of {features.backbone.name} with other weights or another network than the "
            f"given {backbone.name}; compute FrozenFeatures of this backbone"
        )


def _checksum(backbone):
    """Checksum of all that changes the maps: weights, layers and the constants that scale the input."""
    layers = [layer.name for layer in backbone.layers[1:]]  # Keras numbers input layers through a process
    scale = [
        (np.ravel(layer.mean).tolist(), np.ravel(layer.variance).tolist())
        for layer in backbone.layers
        if isinstance(layer, keras.layers.Normalization)
    ]
    weights = backbone_weights.checksum(backbone_weights.table(backbone))
    return hashlib.sha256(json.dumps([layers, scale, weights]).encode()).hexdigest()


def _rows(run, records, image_size, flip, batch_size, verbose):
    """Compute the maps: yield the indices of a batch's images and for each level `[B, V, h, w, C]`."""
    views = 1 + bool(flip)
    paths = [str(record.path) for record in records]
    with tqdm.tqdm(total=len(paths), desc="features", unit="image", disable=not verbose) as bar:
        for places, images, _, _ in letterboxed_batches(paths, image_size, batch_size, mirrored=flip):
            images = tf.reshape(images, [-1, image_size, image_size, 3])
            maps = [tf.cast(level, tf.float32).numpy() for level in run(images)]
            yield places, [level.reshape(-1, views, *level.shape[1:]) for level in maps]
            bar.update(len(places))


def _in_memory(rows, count, shapes):
    _check_room(count, shapes, available_memory(), "memory", "give cache a folder")
    maps, places = [np.empty((count, *shape), np.float32) for shape in shapes], []
    for some, parts in rows:
        for level, part in zip(maps, parts):
            level[len(places) : len(places) + len(some)] = part
        places.extend(map(int, some))
    return places, [level[: len(places)] for level in maps]


def _on_disk(rows, count, shapes, cache, header):
    # A folder's name is a hash of its content's description, so that maps of another network are never read.
    name = hashlib.sha256(json.dumps(header, sort_keys=True).encode()).hexdigest()[:16]
    for number in itertools.count():
        folder = cache / (f"{name}-{number}" if number else name)
        missing = not folder.is_dir()
        try:
            if missing:
                cache.mkdir(parents=True, exist_ok=True)
                _check_room(count, shapes, shutil.disk_usage(cache).free, f"room in {cache}", "name another folder")
                with _files.whole(folder, replace=False) as part:
                    part.mkdir()
                    _write(rows, part, header)
        except OSError as error:
            raise UserError(f"the features in {folder} cannot be written ({error}); name another cache") from error
        try:
            return _read(folder, count, shapes, header)
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            if missing:
                raise UserError(f"the features in {folder} cannot be read ({error}); name another cache") from error
            # It is not removed: kerassl removes nothing that it did not write.
            log.warning("the features in %s are damaged (%s); they are computed again, beside it", folder, error)


def _read(folder, count, shapes, header):
    kept = json.loads((folder / "header.json").read_text(encoding="utf-8"))
    places, (*sums, wanted) = kept["places"], kept["crc32"]
    if _crc32_of(places) != wanted or len(sums) != len(shapes) or max(places, default=0) >= count:
        raise ValueError("its header does not have the checksum that was written with it")
    maps = [
        np.memmap(folder / f"{level}.f32", np.float32, "r", shape=(len(places), *shape))
        for level, shape in zip(header["levels"], shapes)
    ]
    for level, array, wanted in zip(header["levels"], maps, sums):
        size = 4 * array.size
        if (folder / f"{level}.f32").stat().st_size != size or _crc32(array) != wanted:
            raise ValueError(f"{level}.f32 does not have the checksum that was written with it")
    return places, maps


def _crc32_of(places):
    return zlib.crc32(json.dumps(places).encode())


def _crc32(array):
    found = 0
    for start in range(0, len(array), 64):
        found = zlib.crc32(np.ascontiguousarray(array[start : start + 64]).data, found)
    return found


def _write(rows, folder, header):
    places, sums = [], [0] * len(header["levels"])
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context((folder / f"{level}.f32").open("wb")) for level in header["levels"]]
        for some, parts in rows:
            for number, (file, part) in enumerate(zip(files, parts)):
                part = np.ascontiguousarray(part)
                file.write(part.data)
                sums[number] = zlib.crc32(part.data, sums[number])
            places.extend(map(int, some))
    content = {**header, "places": places, "crc32": [*sums, _crc32_of(places)]}
    (folder / "header.json").write_text(json.dumps(content), encoding="utf-8")


def _check_room(count, shapes, free, what, remedy):
    needed = 4 * count * sum(int(np.prod(shape)) for shape in shapes)
    if free is not None and needed > free:
        raise UserError(
            f"features of {count} images take {needed / 2**30:.1f} GiB, but there are {free / 2**30:.1f} GiB of "
            f"{what}; {remedy}, or take a smaller image_size"
        )


def _targets(records, image_size, flip):
    boxes, labels = [], []
    for record in records:
        place = record.largest()
        x0, y0, x1, y1 = record.boxes[place]
        views = [(x0, y0, x1, y1), (record.width - x1, y0, record.width - x0, y1)][: 1 + bool(flip)]
        boxes.append(np.array(views) / max(record.width, record.height))
        labels.append(record.classes[place])
    return np.array(boxes, np.float32), np.array(labels, np.int32)
