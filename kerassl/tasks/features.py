"""The feature spaces of several models."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import time
from collections.abc import Mapping, Sequence

from kerassl import backbones, datasets
from kerassl import features as feature_spaces
from kerassl._display import verbosity
from kerassl._environment import machine
from kerassl._errors import UserError
from kerassl._io import files as _files
from kerassl._io import outputs
from kerassl._lazy import keras
from kerassl.backbones.families import canonical
from kerassl.config.config import as_flags, read_config
from kerassl.config.sources import labels_title, open_labels, some_files
from kerassl.detectors.model_files import describe
from kerassl.report.features import features_page
from kerassl.tasks.explain import load_network, named, one_size
from kerassl.types import Figures


@dataclasses.dataclass(frozen=True)
class DescribedFeatures(Figures):
    """Feature spaces that were described on a page.

    Attributes:
        geometry: `features.FeatureGeometry`.
        source: str, what the images are called.
        seen: dict from the name of each network to what it was made from.
        minutes: float.
        machine: str.
    """

    geometry: feature_spaces.FeatureGeometry
    source: str
    seen: dict[str, str]
    minutes: float
    machine: str

    def to_dict(self) -> dict:
        """Return the figures of the geometry and these, as in the JSON file."""
        values = super().to_dict()
        return {**values.pop("geometry"), **values}


def describe_features(
    models: Sequence[str] | Mapping[str, str],
    *,
    out: str | os.PathLike,
    images: Sequence[str] | None = None,
    config: str | os.PathLike | None = None,
    data: datasets.DetectionDataset | str | os.PathLike | None = None,
    data_images: str | os.PathLike | None = None,
    split: str | None = None,
    classes: Sequence[str] | None = None,
    allow_broken_labels: bool | None = None,
    image_size: int | None = None,
    weights: str = "random",
    count: int = 500,
    homology: bool = False,
    seed: int | None = None,
) -> DescribedFeatures:
    """Describe and compare the feature spaces of several models, on one page.

    Args:
        models: Dict from name to path, or sequence of `"NAME=FILE"`: a `backbone.keras`, `localizer.keras` or
            `detector.keras` each, or the name of a network, which has `weights`.
        out: Str or path of the `.html` page to write; the figures are written beside it as `.json`.
        images: Sequence of folders or files without labels, or None.
        config: Str or path of a YAML file.
        data, data_images, split, classes, allow_broken_labels: The labels of any format, see `DetectionDataset.open`;
            None takes those of `data.test` in the configuration.
        image_size: Int, side in pixels, for models that are backbones.
        weights: `"random"`, `"imagenet"`, or str, a file of weights, of the models that are names of networks.
        count: Int. At most so many images, chosen by the seed; 200 to 2,000.
        homology: Bool. Whether loops are counted, too.
        seed: Int.

    Returns:
        `DescribedFeatures`.

    Raises:
        UserError: if images or models cannot be read, or the page cannot be written.
    """
    begun = time.time()
    read = read_config(config, as_flags({"seed": seed}))
    page = pathlib.Path(out)
    outputs.check_file(page, (".html", ".htm"), "a page")
    outputs.check_file(page.with_suffix(".json"))
    paths = named(models)
    if images and data is not None:
        raise UserError(f"both --images {images[0]} and --data are named; give one of them")
    if images or (data is None and read.data.train is None and read.data.test is None):
        chosen, source = _unlabeled(images or read.data.unlabeled, count, read.seed)
    else:
        labels = open_labels(data, data_images, split, classes, allow_broken_labels, config=read)
        chosen = labels.subset(min(count, len(labels)), seed=read.seed)
        source = labels_title(data, split, config=read)
    size = one_size({name: describe(path) for name, path in paths.items() if not _is_network(path)}, image_size)
    networks, seen = {}, {}
    for name, path in paths.items():
        networks[name], seen[name] = _network(path, read.seed, weights)
    geometry = feature_spaces.feature_geometry(
        networks, chosen, image_size=size, homology=homology, seed=read.seed, verbose=int(verbosity() != 2)
    )
    found = DescribedFeatures(geometry, source, seen, (time.time() - begun) / 60, machine())
    figures = found.to_dict()
    with _files.whole(page.with_suffix(".json")) as part:
        part.write_text(json.dumps(figures, indent=1, default=float) + "\n", encoding="utf-8")
    with _files.whole(page) as part:
        part.write_text(features_page(figures), encoding="utf-8")
    return found


def _unlabeled(images, count, seed):
    """Return paths of images, and where they are from in words."""
    if not images:
        raise UserError("no images are named; give --data labels, or --images a folder")
    names = ", ".join(pathlib.Path(path).name for path in images[:3])
    return some_files(datasets.image_files(images), count, seed), names


def _is_network(path):
    return canonical(path) is not None and not pathlib.Path(path).exists()


def _network(path, seed, weights):
    """Return a network, and what it was made from in words."""
    if _is_network(path):
        keras.utils.set_random_seed(seed)
        described = f"random weights (seed {seed})" if weights == "random" else f"the weights {weights}"
        built = backbones.build(path, weights=None if weights == "random" else weights)
        return built, f"{canonical(path)} with {described}"
    return load_network(path), f"{pathlib.Path(path).name}"
