"""Features of images in a file."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Sequence

import numpy as np
from tqdm import tqdm

from kerassl import backbones
from kerassl._display import verbosity
from kerassl._graphs import graph_of
from kerassl._io import files, outputs
from kerassl._io.parts import read_part, relative_names
from kerassl._lazy import tf
from kerassl.datasets.pipeline.letterboxed import identified, letterboxed_batches
from kerassl.detectors.model_files import describe
from kerassl.resizing import check_image_size


@dataclasses.dataclass(frozen=True)
class Embeddings:
    """Features of images.

    Attributes:
        names: Tuple of str, the images that were read.
        features: `[images, channels]` float32 array, the average of the last feature map.
        broken: Int, the images that cannot be read.
    """

    names: tuple
    features: np.ndarray
    broken: int


def embed(
    backbone: str | os.PathLike,
    images: Sequence[str],
    *,
    out: str | os.PathLike,
    image_size: int = 128,
    part: str | None = None,
) -> Embeddings:
    """Write the features of images from a backbone.

    Args:
        backbone: Str or path of a `backbone.keras`.
        images: Sequence of folders or files.
        out: Str or path of the `.npz` file to write, with the arrays `names` and `features`; with `part` of a folder
            for such files.
        image_size: Int, side in pixels, a multiple of 32.
        part: Str, as `"3/16"`, or None for all: read a share of the images alone, the same on every machine, into
            `part-03-of-16.npz` in the folder. `kerassl.load` reads the folder of all parts.

    Returns:
        `Embeddings`.

    Raises:
        UserError: if the backbone or an image is missing, or the file cannot be written.
    """
    size, share = check_image_size(image_size), read_part(part)
    file = pathlib.Path(out) if share is None else pathlib.Path(out, f"{share.name}.npz")
    outputs.check_file(file, (".npz",), "what NumPy reads")
    describe(backbone)
    names, paths = identified(images)
    if share is not None:
        chosen = share.places(relative_names(paths, [images] if isinstance(images, str) else images))
        names, paths = [names[place] for place in chosen], [paths[place] for place in chosen]
    network = backbones.load(backbone)
    kept, features = [], [np.zeros([0, network.output_shape[-1]], np.float32)]
    with tqdm(total=len(paths), desc="embed", unit="image", disable=verbosity() == 2) as bar:
        for places, some in _pooled(network, size, paths, share is None):
            kept += [names[place] for place in places]
            features.append(some)
            bar.update(len(places))
    found = Embeddings(tuple(kept), np.concatenate(features), len(paths) - len(kept))
    with files.whole(file, overwrite=True) as new, new.open("wb") as content:
        np.savez(content, names=np.array(found.names, str), features=found.features)
    return found


def _pooled(network, size, paths, required):
    """Yield the places of images and their features, a batch at a time."""
    if not paths:
        return
    pool = graph_of(
        lambda pixels: tf.reduce_mean(network(pixels, training=False), [1, 2]),
        input_signature=[tf.TensorSpec([None, size, size, 3])],
    )
    for places, pixels, _, _ in letterboxed_batches(paths, size, 32, required=required):
        yield places, pool(pixels).numpy()
