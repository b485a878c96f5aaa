"""Images that are unlike the labeled ones, by their features."""

from __future__ import annotations

import numpy as np

from kerassl._errors import UserError
from kerassl.features.point_cloud import point_cloud, unit_rows

_BLOCK = 1024  # rows and columns whose similarities are held at once
_ROUNDING = 1e-9


class LabeledFeatures:
    """The features of labeled images, which others are compared with.

    An image is foreign where its cosine distance to the nearest labeled image is larger than is usual among labeled
    images: than a percentile of their distances to the nearest of the others.

    Args:
        features: `[N, C]` array, the mean over the locations of a feature map of each image.
        percentile: float, 0 to 100.

    Attributes:
        limit: float, the largest distance of an image that is not foreign.

    Raises:
        UserError: if there are fewer than two images, or features are not finite.

    References:
        Cao et al., "Open-Set Semi-Supervised Object Detection", 2022.
    """

    def __init__(self, features: np.ndarray, percentile: float = 95.0) -> None:
        if not 0 <= percentile <= 100:
            raise UserError(f"percentile is {percentile}; give a number from 0 to 100, as 95")
        self._rows = unit_rows(point_cloud(features))
        self.limit = float(np.percentile(self._distances(self._rows, own=True), percentile)) + _ROUNDING

    def distances(self, features: np.ndarray) -> np.ndarray:
        """Return the cosine distance of each image to the nearest labeled one.

        Args:
            features: `[n, C]` array.

        Returns:
            `[n]` float64 array in [0, 2]. Blocks bound the memory, whatever the numbers of images.
        """
        return self._distances(unit_rows(point_cloud(features, least=0)))

    def _distances(self, rows, own=False):
        best = np.full(len(rows), -np.inf)
        for start in range(0, len(rows), _BLOCK):
            block = slice(start, start + _BLOCK)
            for first in range(0, len(self._rows), _BLOCK):
                similarity = rows[block] @ self._rows[first : first + _BLOCK].T
                if own and first == start:
                    np.fill_diagonal(similarity, -np.inf)
                best[block] = np.maximum(best[block], similarity.max(axis=1))
        return np.clip(1.0 - best, 0.0, 2.0)
