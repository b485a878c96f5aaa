"""Persistent homology of features: components and loops by scale."""

from __future__ import annotations

import dataclasses

import numpy as np

from kerassl._errors import UserError
from kerassl._numbers import check
from kerassl.features.point_cloud import point_cloud
from kerassl.types import Figures

LONG = 3.0
"""A loop counts if its death is at this many times the scale of its birth or more."""


@dataclasses.dataclass(frozen=True)
class Homology(Figures):
    """Components and loops by scale, in units of the median distance of two points.

    Attributes:
        points: int, in the sample.
        loops: int, those that live to three times the scale of their birth or more.
        longest_loop: float, the largest death over birth, 1 where there is no loop.
        pieces: `[points - 1]` list of the scales at which pieces join, rising.
        loop_births, loop_deaths: lists of scales.
    """

    points: int
    loops: int
    longest_loop: float
    pieces: list[float]
    loop_births: list[float]
    loop_deaths: list[float]


def persistent_homology(features: np.ndarray, *, sample: int = 300, seed: int = 0) -> Homology:
    """Compute components and loops of a sample of points, as balls around the points grow (Vietoris-Rips).

    A loop is born where balls close a ring and dies where they fill it. Accidents of the sample die soon after their
    birth; `loops` counts those that live to three times the scale of their birth.

    Args:
        features: `[N, D]` array.
        sample: int. Maximum number of points, drawn at random; the time grows with about their cube.
        seed: int, of the sample.

    Returns:
        `Homology`.

    Raises:
        UserError: if ripser is not installed, or there are fewer than four points.

    Example:
        >>> angle = np.linspace(0, 2 * np.pi, 100, endpoint=False)
        >>> kerassl.features.persistent_homology(np.stack([np.cos(angle), np.sin(angle)], axis=1)).loops
        1

    Reference:
        Edelsbrunner and Harer, "Computational Topology", 2010, chapter 7. Bauer, "Ripser", 2021.
    """
    check(seed=seed, sample=sample)
    features = point_cloud(features, 4)
    check_ripser()
    from ripser import ripser
    from scipy.spatial.distance import pdist, squareform

    if sample < 4:
        raise UserError(f"sample is {sample}; give four points or more, 100 to 500 are usual")
    if len(features) > sample:
        features = features[np.sort(np.random.default_rng(seed).choice(len(features), int(sample), replace=False))]
    features = features - features.mean(axis=0)
    features = features / (np.abs(features).max() or 1.0)
    pairs = pdist(features)
    pieces, loops = ripser(squareform(pairs / (np.median(pairs) or 1.0)), maxdim=1, distance_matrix=True)["dgms"]
    births, deaths = loops[loops[:, 0] > 0].astype(float).T
    ratios = deaths / births
    return Homology(
        points=len(features),
        loops=int(np.sum(ratios >= LONG)),
        longest_loop=float(ratios.max(initial=1.0)),
        pieces=np.sort(pieces[np.isfinite(pieces[:, 1]), 1]).astype(float).tolist(),
        loop_births=births.tolist(),
        loop_deaths=deaths.tolist(),
    )


def check_ripser() -> None:
    """Raise an error if ripser is not installed."""
    try:
        import ripser  # noqa: F401
    except ImportError:
        raise UserError(
            'persistent homology needs ripser, which is not installed; pip install "kerassl[topology]"'
        ) from None
