"""Places that pictures of different shapes share: windows of one size, at one place between the picture's edges."""

import dataclasses

import numpy as np

_SIZES = ((1 / 6, 1 / 6), (1 / 4, 1 / 4), (3 / 8, 1 / 8), (1 / 8, 3 / 8))  # (width, height)


@dataclasses.dataclass(frozen=True)
class Window:
    """A window of every picture.

    Its size is the same in all pictures that are scaled to one long side, as that of a stamp is. Its place is a share
    of the room that the picture leaves it, as that of a background in a style sheet is: 0 is at the left or upper edge,
    1 at the right or lower one, whatever the picture's shape, and 0.5 in the middle.

    Attributes:
        across, down: float in [0, 1], the place.
        width, height: float, in units of the picture's long side.
    """

    across: float
    down: float
    width: float
    height: float

    def corners(self, sizes):
        """The upper left corner in each picture.

        Args:
            sizes: `[N, 2]` array, the pictures' (height, width) in units of their long side.

        Returns:
            `[N, 2]` array, (y, x) in units of the long side; 0 where a picture is smaller than the window.
        """
        room = np.asarray(sizes) - [self.height, self.width]
        return np.maximum(room * [self.down, self.across], 0.0)

    def shares(self, size):
        """The window as shares of one picture's width and height, xyxy in [0, 1], from its (height, width)."""
        y, x = self.corners([size])[0]
        height, width = size
        box = np.array([x / width, y / height, (x + self.width) / width, (y + self.height) / height])
        return np.minimum(box, 1.0)


def all_windows():
    """The windows that are tried: four sizes, each in steps of three fifths of its sides at most, from edge to edge."""
    return [
        Window(across, down, width, height)
        for width, height in _SIZES
        for down in np.linspace(0, 1, _steps(height))
        for across in np.linspace(0, 1, _steps(width))
    ]


def _steps(side):
    return int(np.ceil((1 - side) / (0.6 * side))) + 1


def heat_shares(heatmaps, objects, sizes, windows):
    """The share of each picture's heat that lies in each window and on no object.

    Args:
        heatmaps: `[N, S, S]` array that is not negative, of letterboxed pictures.
        objects: `[N, S, S]` bool array, the pixels of the objects.
        sizes: `[N, 2]` array, the pictures' (height, width) in units of their long side.
        windows: list of `Window`.

    Returns:
        `[N, windows]` float32 array in [0, 1]; 0 where a picture has no heat. What lies beside the picture, in the
        letterbox's margin, counts nowhere.
    """
    heatmaps = np.asarray(heatmaps, float)
    side = heatmaps.shape[-1]
    sizes = np.asarray(sizes, float)
    ends = np.clip(np.rint(sizes * side).astype(int), 1, side)
    within = np.arange(side)[None, :, None] < ends[:, :1, None]
    within = within & (np.arange(side)[None, None] < ends[:, 1:, None])
    total = np.where(within, heatmaps, 0.0).sum(axis=(1, 2))
    sums = np.pad(np.where(within & ~objects, heatmaps, 0.0), [(0, 0), (1, 0), (1, 0)]).cumsum(axis=1).cumsum(axis=2)
    rows = np.arange(len(heatmaps))
    found = np.zeros([len(heatmaps), len(windows)], np.float32)
    for number, window in enumerate(windows):
        first = np.rint(window.corners(sizes) * side).astype(int)
        last = np.minimum(first + np.rint([window.height * side, window.width * side]).astype(int), side)
        (y0, x0), (y1, x1) = first.T, last.T
        heat = sums[rows, y1, x1] - sums[rows, y0, x1] - sums[rows, y1, x0] + sums[rows, y0, x0]
        found[:, number] = np.divide(heat, total, out=np.zeros(len(heat)), where=total > 0)
    return np.maximum(found, 0.0)
