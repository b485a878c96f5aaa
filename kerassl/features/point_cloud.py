"""Features as clouds of points: checked, scaled, with their nearest neighbors."""

from __future__ import annotations

import numpy as np

from kerassl._errors import UserError

_CHUNK = 512  # rows whose distances to all others are held at once


def point_cloud(features: np.ndarray, least: int = 2) -> np.ndarray:
    """Return features as float64, or refuse what is no table of finite numbers.

    Args:
        features: `[N, D]` array, a row an image.
        least: Fewest rows that are accepted.
    """
    features = np.asarray(features, np.float64)
    if features.ndim != 2 or features.shape[1] < 1:
        raise UserError(f"features are {features.shape}; give [images, dimensions]")
    if len(features) < least:
        raise UserError(f"there are features of {len(features)} images; this figure needs {least} or more")
    if not np.isfinite(features).all():
        raise UserError("some features are nan or infinite; the network that made them is broken")
    return features


def unit_rows(features: np.ndarray) -> np.ndarray:
    """Divide the rows of `[N, D]` features by their lengths, in float64; rows of zeros stay as they are."""
    features = np.asarray(features, np.float64)
    # Random networks give features of 1e-18 and less: their squares are taken of numbers about 1.
    scale = np.abs(features).max(axis=1, keepdims=True, initial=0.0)
    features = np.divide(features, scale, out=np.zeros_like(features), where=scale > 0)
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return np.divide(features, lengths, out=features, where=lengths > 0)


def nearest(features: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Find the `k` nearest neighbors of each point among the others, by Euclidean distance.

    Returns:
        `[N, k]` float64 distances, rising, and `[N, k]` int places. Of equally near ones the first come first.
    """
    features = point_cloud(features)
    count = len(features)
    if isinstance(k, bool) or int(k) != k or not 1 <= k < count:
        raise UserError(f"{k} neighbors are asked for among {count} images; give a whole number from 1 to {count - 1}")
    features = features - features.mean(axis=0)
    features = features / (np.abs(features).max() or 1.0)
    squares = np.einsum("nd,nd->n", features, features)
    distances, places = np.empty([count, k]), np.empty([count, k], int)
    for start in range(0, count, _CHUNK):
        rows = np.arange(start, min(start + _CHUNK, count))
        # Differences of large squares are exact enough to find the nearest, not for their distances.
        rough = squares[rows, None] + squares - 2 * features[rows] @ features.T
        rough[np.arange(len(rows)), rows] = np.inf
        kept = min(k + 2, count - 1)
        near = np.sort(np.argpartition(rough, kept - 1, axis=1)[:, :kept], axis=1)
        for row, some in zip(rows, near):
            exact = np.linalg.norm(features[some] - features[row], axis=1)
            order = np.argsort(exact, kind="stable")[:k]
            distances[row], places[row] = exact[order], some[order]
    return distances, places
