"""Features of several networks of the same images, and of views of them."""

from __future__ import annotations

import functools
import json
import os
import typing
from collections.abc import Mapping, Sequence

import numpy as np
import tqdm

from kerassl import backbones
from kerassl._compat import keras, tf
from kerassl._errors import UserError
from kerassl._graphs import graph_of
from kerassl.augment import SimCLRViews
from kerassl.augment.crop import crop, whole_pixels
from kerassl.datasets import Record
from kerassl.datasets.pipeline.letterboxed import identified, letterboxed_batches
from kerassl.datasets.pipeline.row_cache import available_memory
from kerassl.features.view_operations import view_operations
from kerassl.types import LEVELS


class ModelFeatures(typing.NamedTuple):
    """Features of N images from one network, float32.

    Attributes:
        network: str, the backbone's name.
        pooled: dict from level to `[N, C]`, the mean over the locations of the letterboxed image.
        last_map: `[N, h * w * C]`, the last level's map of the letterboxed image.
        plain: `[N, C]`, the last level of the image's middle square.
        changed: dict from operation to `[N, C]`, the same of that square with the operation applied.
        first, second: `[N, C]`, the same of two views of that square, by all operations.
    """

    network: str
    pooled: dict
    last_map: np.ndarray
    plain: np.ndarray
    changed: dict
    first: np.ndarray
    second: np.ndarray


def model_features(
    models: Mapping[str, keras.Model],
    images: Sequence[Record] | str | os.PathLike | Sequence[str],
    image_size: int,
    layers: Sequence[str],
    views: SimCLRViews,
    *,
    batch_size: int = 16,
    seed: int = 0,
    verbose: int = 0,
) -> tuple[np.ndarray, np.ndarray, dict[str, ModelFeatures]]:
    """Run images once through several networks.

    Each image is read once. The letterboxed image gives the features of all levels; the middle square of the image,
    as pre-training sees it, those of the last level of the image as it is, with each operation of the views, and of
    two whole views. All models see the same pixels.

    Args:
        models: dict from name to backbone, or to a model that has one.
        images: list of `datasets.Record`, or a folder, a file or a list of those.
        image_size: int, in pixels, a multiple of 32.
        layers: sequence of levels, as `("P3", "P4", "P5")`.
        views: `augment.SimCLRViews` of that image size.
        batch_size: int. Does not change the result.
        seed: int, of the views.
        verbose: 0 or 1. Whether to show a progress bar.

    Returns:
        `[N]` int array, the places of the images that could be read, `[N, 2]` float32, height and width of their
        images in the letterbox in shares of its side, and dict from name to `ModelFeatures`.
    """
    _, paths = identified(images)
    runs = {
        name: _runner(name, getattr(model, "backbone", model), image_size, layers) for name, model in models.items()
    }
    _check_memory(runs.values(), len(paths), (image_size // LEVELS[layers[-1]]) ** 2)
    change = _changer(json.dumps(views.get_config()))
    rows: dict[str, list] = {name: [] for name in models}
    places: list[np.ndarray] = []
    shares: list[np.ndarray] = []
    with tqdm.tqdm(total=len(paths), desc="features", unit="image", disable=not verbose) as bar:
        for some, boxed, scales, sizes in letterboxed_batches(paths, image_size, batch_size):
            sides = tf.clip_by_value(tf.round(sizes * scales[:, None]), 1.0, float(image_size)) / image_size
            changed = change(
                boxed, sides, tf.constant([seed, 0]), tf.constant(sum(len(each) for each in places)), len(paths)
            )
            for name, run in runs.items():
                rows[name].append(_one(run, layers, boxed, changed))
            places.append(some)
            shares.append(sides.numpy())
            bar.update(len(some))
    found = {name: _joined(runs[name].name, rows.pop(name), layers) for name in models}
    for name, features in found.items():
        if not all(np.isfinite(each).all() for each in (features.last_map, *features.pooled.values(), features.plain)):
            raise UserError(f"the features of model {name!r} are not all finite; the network is broken, leave it out")
    return np.concatenate(places), np.concatenate(shares), found


class _Run(typing.NamedTuple):
    name: str
    network: keras.Model
    call: typing.Callable


def _runner(name, backbone, image_size, layers):
    try:
        levels = backbones.pyramid(backbone)
        outputs = [backbone.get_layer(levels[layer]).output for layer in layers]
        network = keras.Model(backbone.inputs[0], outputs)
    except (AttributeError, UserError) as error:
        reason = error if isinstance(error, UserError) else f"it is a {type(backbone).__name__}"
        raise UserError(
            f"model {name!r} is no backbone with the levels P3 to P5, nor a model that has one ({reason})"
        ) from None

    def call(images):
        maps = network(images, training=False)
        maps = [tf.cast(level, tf.float32) for level in (maps if isinstance(maps, (list, tuple)) else [maps])]
        return [tf.reduce_mean(level, axis=[1, 2]) for level in maps], maps[-1]

    spec = tf.TensorSpec([None, image_size, image_size, 3], tf.float32)
    return _Run(backbone.name, network, graph_of(call, input_signature=[spec]))


@functools.lru_cache(maxsize=4)
def _changer(config):
    """Return a function from letterboxed images to their middle squares, plain and changed; draws depend on the place.

    Tracing takes as long as some hundred images, so it is cached.
    """
    views = SimCLRViews(**json.loads(config))
    operations, size = view_operations(views), views.image_size
    image, side = tf.TensorSpec([None, size, size, 3]), tf.TensorSpec([None, 2])
    number = tf.TensorSpec([], tf.int32)

    @tf.function(input_signature=[image, side, tf.TensorSpec([2], tf.int32), number, number], autograph=False)
    def change(images, sides, seed, offset, total):
        squares = _middle_squares(images, sides)
        settings = {"seed": seed, "offset": offset, "total": total}
        changed = {name: operation(squares, **settings).first for name, operation in operations.items()}
        both = views(squares, **settings)
        return {"plain": squares, **changed, "first": both.first, "second": both.second}

    return change


def _middle_squares(images, sides):
    """Return the middle squares of images that are at the top left of `[B, S, S, 3]`, enlarged to that size."""
    short = tf.reduce_min(sides, axis=1, keepdims=True)
    corner = (sides - short) / 2.0
    # At least a pixel: half of one, in the middle of a thin image, rounds to none.
    boxes = whole_pixels(tf.concat([corner, corner + short], axis=1), images.shape[1], images.shape[2])
    return crop(images, boxes, tf.zeros(tf.shape(images)[:1], tf.bool), images.shape[1])


def _one(run, layers, boxed, changed):
    pooled, last = run.call(boxed)
    row = {layer: part.numpy() for layer, part in zip(layers, pooled)}
    row["last_map"] = last.numpy().reshape(len(boxed), -1)
    return row | {f"view {name}": run.call(images)[0][-1].numpy() for name, images in changed.items()}


def _joined(network, rows, layers):
    whole = {key: np.concatenate([row.pop(key) for row in rows]) for key in list(rows[0])}
    views = {key.removeprefix("view "): value for key, value in whole.items() if key.startswith("view ")}
    plain, first, second = (views.pop(key) for key in ("plain", "first", "second"))
    return ModelFeatures(
        network, {layer: whole[layer] for layer in layers}, whole["last_map"], plain, views, first, second
    )


def _check_memory(runs, count, locations):
    widths = [locations * run.network.outputs[-1].shape[-1] for run in runs]
    # One model's batches are in memory beside the arrays that they are joined into.
    needed, free = 4 * count * (sum(widths) + max(widths)), available_memory()
    if free is not None and needed > free:
        raise UserError(
            f"the feature maps of {count} images take {needed / 2**30:.1f} GiB, but there are {free / 2**30:.1f} GiB "
            "of memory; take fewer images, or a smaller image size"
        )
