"""The feature spaces of several networks, described and compared on the same images."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

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
from kerassl.features.persistent_homology import check_ripser, persistent_homology
from kerassl.features.point_cloud import nearest, unit_rows
from kerassl.features.separability import knn_accuracy, scatter_ratio
from kerassl.features.spectrum import covariance_spectrum, effective_rank, fitted_ranks, power_law_exponent
from kerassl.features.view_invariance import view_invariance
from kerassl.resizing import check_image_size
from kerassl.types import LEVELS, finite

_LEAST = 16  # images; below, neighbors and variances say nothing
_LEAST_READ = 40  # objects whose place is read: twenty to fit to, twenty to judge on
TARGETS = ("x", "y", "log_size")
"""Position of the largest object: its center, and the logarithm of the root of its area."""


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
) -> dict[str, Any]:
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
        Dict that JSON can hold, None where a figure does not exist:

        - `images`, `image_size`, `layers`, `embedding`, `neighbors`, `discard`, `views` (their settings), `seed`.
        - `models`: by name `network`; `layers`, by level `width`, `effective_rank` (as pre-training logs it),
          `effective_rank_centered`, `spectrum` (list, shares of the variance), `spectrum_exponent`, `spectrum_ranks`
          (the range of the fit), `intrinsic_dimension`, `knn_accuracy`, `scatter_ratio`; `alignment` and `uniformity`;
          `invariance` by operation; `position`, `{"pooled", "map"}` by target; with `homology` what
          `persistent_homology` returns.
        - `cka`: `names` ([model, level] each), `linear` and `debiased`, matrices.
        - `overlap`: `names`, `matrix` and `chance`.
        - `labels`: `images`, `classes` and `most_frequent`, the share of the most frequent class.
        - `position_by_shape`: the targets, read from the image's height and width alone.

    Raises:
        UserError: if there is no model, a model lacks a level, sizes or numbers do not fit, or fewer than 16 images can
            be read.

    Example:
        >>> figures = kerassl.features.feature_geometry({"ours": ours, "random": random}, records, image_size=128)
        >>> figures["models"]["ours"]["invariance"]["flip"]
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
        described[name] = {"network": one.network, "layers": levels, **_embedding(one), **truth.position(one, seed)}
        near[name] = nearest(_embedded(one.pooled[layers[-1]]), neighbors)[1]
        if homology:
            described[name]["homology"] = persistent_homology(_embedded(one.pooled[layers[-1]]), seed=seed)
    pairs = [[name, layer] for name in features for layer in layers]
    linear, debiased = cka_matrix([features[name].pooled[layer] for name, layer in pairs])
    overlap = [[shared(one, other) for other in near.values()] for one in near.values()]
    return finite(
        {
            "images": len(places),
            "image_size": image_size,
            "layers": layers,
            "embedding": layers[-1],
            "neighbors": neighbors,
            "discard": discard,
            "views": views.get_config(),
            "seed": seed,
            "models": described,
            "cka": {"names": pairs, "linear": linear.tolist(), "debiased": debiased.tolist()},
            "overlap": {"names": list(near), "matrix": overlap, "chance": neighbors / (len(places) - 1)},
            **truth.figures(shapes, seed),
        }
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
    return {
        "width": pooled.shape[1],
        "effective_rank": effective_rank(unit_rows(pooled)),
        "effective_rank_centered": effective_rank(embedded),
        "spectrum": spectrum.tolist(),
        "spectrum_exponent": None if ranks is None else power_law_exponent(spectrum, ranks),
        "spectrum_ranks": ranks,
        "intrinsic_dimension": _or_none(intrinsic_dimension, pooled, discard),
        **truth.separability(embedded, neighbors),
    }


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
        if len(self._rows) < _LEAST_READ:
            return {}
        last = list(one.pooled.values())[-1]
        return {"position": {"pooled": self._read(last, seed), "map": self._read(one.last_map, seed)}}

    def figures(self, shapes, seed):
        found = {}
        if self._separable:
            found["labels"] = {
                "images": len(self._rows),
                "classes": len(self._classes),
                "most_frequent": float(self._classes.max() / self._classes.sum()),
            }
        if len(self._rows) >= _LEAST_READ:
            found["position_by_shape"] = self._read(shapes, seed)
        return found

    def _read(self, features, seed):
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
