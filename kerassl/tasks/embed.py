"""Features of images in a file."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

import numpy as np
from tqdm import tqdm

from kerassl import backbones
from kerassl._graphs import graph_of
from kerassl._io import files
from kerassl._lazy import tf
from kerassl.datasets.pipeline.letterboxed import identified, letterboxed_batches
from kerassl.resizing import check_image_size
from kerassl.runs import outputs
from kerassl.runs.model_files import describe
from kerassl.runs.running import verbosity


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
    backbone: str | os.PathLike, images: Sequence[str], *, out: str | os.PathLike, image_size: int = 128
) -> Embeddings:
    """Write the features of images from a backbone.

    Args:
        backbone: Str or path of a `backbone.keras`.
        images: Sequence of folders or files.
        out: Str or path of the `.npz` file to write, with the arrays `names` and `features`.
        image_size: Int, side in pixels, a multiple of 32.

    Returns:
        `Embeddings`.

    Raises:
        UserError: if the backbone or an image is missing, or the file cannot be written.
    """
    size = check_image_size(image_size)
    outputs.check_file(out, (".npz",), "what NumPy reads")
    describe(backbone)
    names, paths = identified(images)
    network = backbones.load(backbone)
    pool = graph_of(
        lambda pixels: tf.reduce_mean(network(pixels, training=False), [1, 2]),
        input_signature=[tf.TensorSpec([None, size, size, 3])],
    )
    kept, features = [], []
    with tqdm(total=len(paths), desc="embed", unit="image", disable=verbosity() == 2) as bar:
        for places, pixels, _, _ in letterboxed_batches(paths, size, 32):
            kept += [names[place] for place in places]
            features.append(pool(pixels).numpy())
            bar.update(len(places))
    found = Embeddings(tuple(kept), np.concatenate(features), len(paths) - len(kept))
    with files.whole(out, overwrite=True) as part, part.open("wb") as file:
        np.savez(file, names=np.array(found.names), features=found.features)
    return found
