"""The feature spaces of several networks, described and compared on the same images."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence

import numpy as np

from kerassl._errors import UserError
from kerassl._lazy import keras
from kerassl._numbers import COUNT, check
from kerassl.augment import SimCLRViews
from kerassl.datasets import DetectionDataset, Record
from kerassl.features.alignment_uniformity import alignment, uniformity
from kerassl.features.cka import cka_matrix
from kerassl.features.intrinsic_dimension import check_discard, intrinsic_dimension
from kerassl.features.linear_readout import linear_readout
from kerassl.features.model_features import model_features
from kerassl.features.neighbor_overlap import shared
from kerassl.features.persistent_homology import Homology, check_ripser, persistent_homology
from kerassl.features.point_cloud import nearest, unit_rows
from kerassl.features.separability import knn_accuracy, scatter_ratio
from kerassl.features.spectrum import covariance_spectrum, effective_rank, fitted_ranks, power_law_exponent
from kerassl.features.view_invariance import view_invariance
from kerassl.resizing import check_image_size
from kerassl.types import LEVELS, Figures, finite

_LEAST = 16  # images; below, neighbors and variances say nothing
_LEAST_READ = 40  # objects whose place is read: twenty to fit to, twenty to judge on
TARGETS = ("x", "y", "log_size")
"""Position of the largest object: its center, and the logarithm of the root of its area."""


@dataclasses.dataclass(frozen=True)
class LevelGeometry(Figures):
    """The features of one level of one network, the mean of its map over locations.

    Attributes:
        width: int, channels.
        effective_rank: float, as pre-training logs it.
        effective_rank_centered: float, with the mean over images taken off.
        spectrum: list of float, shares of the variance by direction, falling.
        spectrum_exponent: float, the power law of the spectrum, or None where too few images are there to fit one.
        spectrum_ranks: tuple of int, the first and the last rank of the fit, or None.
        intrinsic_dimension: float, or None of a degenerate cloud.
        knn_accuracy, scatter_ratio: float, or None without enough labels.
    """

    width: int
    effective_rank: float
    effective_rank_centered: float
    spectrum: list[float]
    spectrum_exponent: float | None
    spectrum_ranks: tuple[int, int] | None
    intrinsic_dimension: float | None
    knn_accuracy: float | None = None
    scatter_ratio: float | None = None

    def to_dict(self) -> dict:
        """Return the figures by name; those that need labels only where there are any."""
        fitted = ("spectrum_exponent", "spectrum_ranks", "intrinsic_dimension")
        return {**dict.fromkeys(fitted), **super().to_dict()}


@dataclasses.dataclass(frozen=True)
class ModelGeometry(Figures):
    """The feature space of one network.

    Attributes:
        network: str.
        layers: dict from level to `LevelGeometry`.
        alignment, uniformity: float, of the embedding.
        invariance: dict from operation of the views to float.
        position: dict of `"pooled"` and `"map"` to R² by target, or None where fewer than 40 images have an object.
        homology: `Homology`, or None where it was not asked for.
    """

    network: str
    layers: dict[str, LevelGeometry]
    alignment: float
    uniformity: float
    invariance: dict[str, float]
    position: dict[str, dict[str, float]] | None = None
    homology: Homology | None = None


@dataclasses.dataclass(frozen=True)
class Similarity(Figures):
    """Linear CKA of all levels of all networks.

    Attributes:
        names: list of [model, level], of rows and columns.
        linear, debiased: matrices as lists of rows.
    """

    names: list[list[str]]
    linear: list[list[float]]
    debiased: list[list[float]]


@dataclasses.dataclass(frozen=True)
class Overlap(Figures):
    """Shares of the nearest neighbors that two networks have in common.

    Attributes:
        names: list of str, the models of rows and columns.
        matrix: list of rows.
        chance: float, the share by chance.
    """

    names: list[str]
    matrix: list[list[float]]
    chance: float


@dataclasses.dataclass(frozen=True)
class LabelCounts(Figures):
    """The images with an object and the classes of their largest ones; `most_frequent` is a share."""

    images: int
    classes: int
    most_frequent: float


@dataclasses.dataclass(frozen=True)
class FeatureGeometry(Figures):
    """The feature spaces of several networks on the same images.

    Attributes:
        images, image_size, layers, neighbors, discard, views, seed: what was described and how; `views` are settings.
        embedding: str, the level that is the embedding.
        models: dict from name to `ModelGeometry`.
        cka: `Similarity`.
        overlap: `Overlap`.
        labels: `LabelCounts`, or None without enough labels.
        position_by_shape: dict from target to R², read from the image's height and width alone, or None.
    """

    images: int
    image_size: int
    layers: list[str]
    embedding: str
    neighbors: int
    discard: float
    views: dict
    seed: int
    models: dict[str, ModelGeometry]
    cka: Similarity
    overlap: Overlap
    labels: LabelCounts | None = None
    position_by_shape: dict[str, float] | None = None

    def to_dict(self) -> dict:
        """Return a dict that JSON can hold, with None for nan."""
        return finite(super().to_dict())


def feature_geometry(
    models: Mapping[str, keras.Model],
    records: Sequence[Record] | str | os.PathLike | Sequence[str],
    *,
    image_size: int,
    layers: Sequence[str] = ("P3", "P4", "P5"),
    neighbors: int = 10,
    discard: float = 0.1,
    views: SimCLRViews | None = None,
    homology: bool = False,
    batch_size: int = 16,
    seed: int = 0,
    verbose: int = 0,
) -> FeatureGeometry:
    """Describe and compare the feature spaces of several networks on the same images.

    A feature vector is the mean of a level's map over its locations, of the letterboxed image. The last of `layers` is
    the embedding. The mean over all images is taken off wherever directions are compared: what all images share would
    hide what distinguishes them. Figures that need labels are made of the images with an object that is not
    difficult, for the largest such object, and left out where there are too few: classes of which two or more have two
    images, and for positions 40 objects. Everything is a figure of these images; compare models within one call.

    Args:
        models: dict from name to backbone, or to a model with a `backbone`: `SimCLR`, a localizer, a detector.
        records: list of `datasets.Record`; or a folder, a file or a list of those, for the figures without labels.
        image_size: int, the side of the images in pixels, a multiple of 32.
        layers: levels to describe, of `"P3"`, `"P4"` and `"P5"`.
        neighbors: int, the nearest neighbors of overlap and kNN accuracy.
        discard: float in [0, 1), that of `intrinsic_dimension`.
        views: `augment.SimCLRViews` of that image size, or None for SimCLR's own: what embeddings are to ignore.
        homology: bool. Also count loops; needs the extra `topology`.
        batch_size: int, the images that go through a network at once. Does not change the result.
        seed: int, of the views and the halves.
        verbose: 0 or 1. Whether to show a progress bar.

    Returns:
        `FeatureGeometry`.

    Raises:
        UserError: if there is no model, a model lacks a level, sizes or numbers do not fit, or fewer than 16 images can
            be read.

    Example:
        >>> figures = kerassl.features.feature_geometry({"ours": ours, "random": random}, records, image_size=128)
        >>> figures.models["ours"].invariance["flip"]
        0.87
    """
    check(seed=seed, batch_size=batch_size)
    image_size, layers = check_image_size(image_size), list(layers)
    _check(models, layers, neighbors, discard)
    views = SimCLRViews(image_size) if views is None else views
    if views.image_size != image_size:
        raise UserError(f"views are of {views.image_size} pixels and the images of {image_size}; give one size")
    if homology:
        check_ripser()
    places, shapes, features = model_features(
        models, records, image_size, layers, views, batch_size=batch_size, seed=seed, verbose=verbose
    )
    least = max(_LEAST, neighbors + 2)
    if len(places) < least:
        raise UserError(f"{len(places)} images can be read; give {least} or more, and a few hundred for sound figures")
    truth = _Truth(records, places, image_size, neighbors)
    described, near = {}, {}
    for name, one in features.items():
        levels = {layer: _level(one.pooled[layer], truth, neighbors, discard) for layer in layers}
        embedded = _embedded(one.pooled[layers[-1]])
        near[name] = nearest(embedded, neighbors)[1]
        loops = persistent_homology(embedded, seed=seed) if homology else None
        described[name] = ModelGeometry(
            one.network, levels, **_embedding(one), position=truth.position(one, seed), homology=loops
        )
    pairs = [[name, layer] for name in features for layer in layers]
    linear, debiased = cka_matrix([features[name].pooled[layer] for name, layer in pairs])
    overlap = [[shared(one, other) for other in near.values()] for one in near.values()]
    return FeatureGeometry(
        images=len(places),
        image_size=image_size,
        layers=layers,
        embedding=layers[-1],
        neighbors=neighbors,
        discard=discard,
        views=views.get_config(),
        seed=seed,
        models=described,
        cka=Similarity(pairs, linear.tolist(), debiased.tolist()),
        overlap=Overlap(list(near), overlap, neighbors / (len(places) - 1)),
        labels=truth.counts(),
        position_by_shape=truth.read(shapes, seed),
    )


def _check(models, layers, neighbors, discard):
    if not models:
        raise UserError("there is no model; give a dict from name to backbone, as {'ours': backbone}")
    unknown = [layer for layer in layers if layer not in LEVELS]
    if unknown or not layers or len(set(layers)) < len(layers):
        raise UserError(
            f"layers are {', '.join(map(str, layers)) or 'none'}; give some of {', '.join(LEVELS)}, each once"
        )
    if not COUNT.fits(neighbors):
        raise UserError(f"neighbors is {neighbors}; give a whole number of nearest images above 0, as 10")
    check_discard(discard)


def _embedded(pooled):
    """Centered, at length 1."""
    pooled = pooled.astype(np.float64)
    return unit_rows(pooled - pooled.mean(axis=0))


def _level(pooled, truth, neighbors, discard):
    embedded = _embedded(pooled)
    spectrum = covariance_spectrum(pooled)
    ranks = fitted_ranks(spectrum, len(pooled))
    return LevelGeometry(
        width=pooled.shape[1],
        effective_rank=effective_rank(unit_rows(pooled)),
        effective_rank_centered=effective_rank(embedded),
        spectrum=spectrum.tolist(),
        spectrum_exponent=None if ranks is None else power_law_exponent(spectrum, ranks),
        spectrum_ranks=ranks,
        intrinsic_dimension=_or_none(intrinsic_dimension, pooled, discard),
        **truth.separability(embedded, neighbors),
    )


def _embedding(one):
    mean = one.plain.mean(axis=0, dtype=np.float64)
    return {
        "alignment": alignment(one.first - mean, one.second - mean),
        "uniformity": uniformity(_embedded(one.plain)),
        "invariance": {name: view_invariance(one.plain, changed) for name, changed in one.changed.items()},
    }


class _Truth:
    """Labels of the images that could be read."""

    def __init__(self, records, places, image_size, neighbors):
        kinds = (list, tuple, DetectionDataset)
        labeled = isinstance(records, kinds) and all(isinstance(record, Record) for record in records)
        read = [records[place] for place in places] if labeled else []
        largest = [(row, record, record.largest()) for row, record in enumerate(read) if len(record.boxes)]
        largest = [(row, record, place) for row, record, place in largest if place is not None]
        self._rows = np.array([row for row, _, _ in largest], int)
        self._labels = np.array([int(record.classes[place]) for _, record, place in largest], int)
        self._targets = np.array([_target(record, place) for _, record, place in largest]).reshape(-1, 3)
        _, numbers = np.unique(self._labels, return_counts=True)
        self._classes = numbers
        self._separable = np.sum(numbers > 1) > 1 and len(self._rows) > neighbors

    def separability(self, embedded, neighbors):
        if not self._separable:
            return {}
        own = embedded[self._rows]
        return {
            "knn_accuracy": knn_accuracy(own, self._labels, neighbors),
            "scatter_ratio": scatter_ratio(own, self._labels),
        }

    def position(self, one, seed):
        pooled = self.read(list(one.pooled.values())[-1], seed)
        return None if pooled is None else {"pooled": pooled, "map": self.read(one.last_map, seed)}

    def counts(self):
        if not self._separable:
            return None
        return LabelCounts(len(self._rows), len(self._classes), float(self._classes.max() / self._classes.sum()))

    def read(self, features, seed):
        if len(self._rows) < _LEAST_READ:
            return None
        return dict(zip(TARGETS, linear_readout(features[self._rows], self._targets, seed=seed).tolist()))


def _target(record, place):
    """In units of the letterboxed image's side, in which the image's long side is 1."""
    box = np.asarray(record.boxes[place], np.float64) / max(record.height, record.width)
    width, height = box[2:] - box[:2]
    return [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2, 0.5 * np.log(max(width * height, 1e-12))]


def _or_none(figure, *arguments):
    """Return a figure, or None where a degenerate point cloud has none."""
    try:
        return figure(*arguments)
    except UserError:
        return None
