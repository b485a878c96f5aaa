"""Places that images of different shapes share: windows of one size, at one place between the image's edges."""

from __future__ import annotations

import dataclasses

import numpy as np

_SIZES = ((1 / 6, 1 / 6), (1 / 4, 1 / 4), (3 / 8, 1 / 8), (1 / 8, 3 / 8))  # (width, height)


@dataclasses.dataclass(frozen=True)
class Window:
    """A window of every image.

    Its size is the same in all images that are scaled to one long side, as that of a stamp is. Its place is a share
    of the room that the image leaves it, as that of a background in a style sheet is: 0 is at the left or upper edge,
    1 at the right or lower one, whatever the image's shape, and 0.5 in the middle.

    Attributes:
        across, down: float in [0, 1], the place.
        width, height: float, in units of the image's long side.
    """

    across: float
    down: float
    width: float
    height: float

    def corners(self, sizes: np.ndarray) -> np.ndarray:
        """Return the upper left corners `[N, 2]`, (y, x), in images of `sizes` `[N, 2]`, in units of their long sides.

        0 where an image is smaller than the window.
        """
        room = np.asarray(sizes) - [self.height, self.width]
        return np.maximum(room * [self.down, self.across], 0.0)


def all_windows() -> list[Window]:
    """Return the windows: four sizes, each in steps of three fifths of its sides at most, from edge to edge."""
    return [
        Window(across, down, width, height)
        for width, height in _SIZES
        for down in np.linspace(0, 1, _steps(height))
        for across in np.linspace(0, 1, _steps(width))
    ]


def _steps(side):
    return int(np.ceil((1 - side) / (0.6 * side))) + 1
