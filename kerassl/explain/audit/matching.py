"""Edge maps of images, and the agreement of two of them in a window."""

from __future__ import annotations

import numpy as np

from kerassl._compat import tf

SIDE = 160
"""The pixels of the square that images are letterboxed into to be matched."""

REACH = 4
"""The pixels that one image may be shifted by against another: a fortieth of the long side."""

_FINE, _BROAD, _AROUND = (
    0.5,
    2.5,
    10.0,
)  # pixels: outlines are between the first two, their contrast is that of the last
_FLOOR = 4.0  # gray levels: contrast below it is noise of the camera or the JPEG
_FLAT = 0.15  # a window with less contrast, after each place was divided by that around it, shows nothing


def edges(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return the edges of a letterboxed image in units of the contrast around them, and 0 in the margin.

    Neither light nor color nor shading is left, which images of a class share without sharing a thing: only what
    has outlines of its own can agree. Weak outlines count as much as strong ones, so that thin letters are found.

    Args:
        image: `[SIDE, SIDE, 3]` array in [0, 255].
        height, width: int, the image's pixels within it, from the upper left on.

    Returns:
        `[SIDE, SIDE]` float32 array.
    """
    from scipy.ndimage import gaussian_filter

    gray = np.asarray(image, np.float32)[:height, :width].mean(axis=-1)  # the margin's edge is none of the image
    band = gaussian_filter(gray, _FINE, mode="nearest") - gaussian_filter(gray, _BROAD, mode="nearest")
    contrast = np.sqrt(gaussian_filter(band**2, _AROUND, mode="nearest") + _FLOOR**2)
    found = np.zeros([SIDE, SIDE], np.float32)
    found[:height, :width] = band / contrast
    return found


def agreement(edge_maps: np.ndarray, corners: np.ndarray, height: int, width: int) -> np.ndarray:
    """Compute the agreement of each two images in a window: the best correlation over small shifts.

    Args:
        edge_maps: `[N, SIDE, SIDE]` array of `edges`.
        corners: `[N, 2]` int array, the window's (y, x) in each.
        height, width: int, of the window in pixels.

    Returns:
        `[N, N]` float32 array in [-1, 1], symmetric; 0 where one of the two shows nothing there.
    """
    steps = range(-REACH, REACH + 1, 2)
    # One image shifted is the other shifted back, so that half of the shifts will do.
    shifts = [(y, x) for y in steps for x in steps if (y, x) <= (0, 0)]
    shown = normed(crops(edge_maps, corners, height, width))
    best = np.max(_correlations(shown, edge_maps, corners, shifts, height, width), axis=0)
    return np.maximum(best, best.T)


def shifts_to(piece: np.ndarray, edge_maps: np.ndarray, corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the small shift at which each image agrees best with a piece.

    Args:
        piece: `[h, w]` array of edges.
        edge_maps: `[N, SIDE, SIDE]` array of `edges`.
        corners: `[N, 2]` int array, where the piece is expected in each, (y, x).

    Returns:
        `[N, 2]` int array, (y, x) in pixels: what is to be added to the corners; and the correlations there, `[N]`.
    """
    steps = range(-REACH, REACH + 1)
    shifts = [(y, x) for y in steps for x in steps]
    found = _correlations(normed(piece[None]), edge_maps, corners, shifts, *piece.shape)[:, 0]  # [shifts, N]
    return np.array(shifts)[np.argmax(found, axis=0)], found.max(axis=0)


def _correlations(shown, edge_maps, corners, shifts, height, width):
    """Correlations `[shifts, M, N]` of pieces `[M, h * w]`, which are `normed`, with the images at each shift.

    Products by TensorFlow: many small ones on all cores are what NumPy is slow at where other programs run beside it.
    """
    wide = crops(edge_maps, corners - REACH, height + 2 * REACH, width + 2 * REACH)
    pieces = [wide[:, REACH + y : REACH + y + height, REACH + x : REACH + x + width] for y, x in shifts]
    pieces = tf.constant(np.reshape(pieces, [len(shifts), len(edge_maps), height * width]))
    variance = tf.math.reduce_variance(pieces, axis=2)
    weights = tf.where(variance > _FLAT**2, tf.math.rsqrt(variance * (height * width)), 0.0)
    # What is shown has a mean of 0 and does not see that of the pieces.
    return (tf.matmul(shown, pieces, transpose_b=True) * weights[:, None]).numpy()


def crops(edge_maps: np.ndarray, corners: np.ndarray, height: int, width: int) -> np.ndarray:
    """`[N, height, width]`: a piece of each image from its corner (y, x) on; 0 beyond the image."""
    found = np.zeros([len(edge_maps), height, width], np.float32)
    bottom, right = edge_maps.shape[1:3]
    for piece, edge_map, (y, x) in zip(found, edge_maps, corners):
        top, left, low, end = max(y, 0), max(x, 0), min(y + height, bottom), min(x + width, right)
        if top < low and left < end:
            piece[top - y : low - y, left - x : end - x] = edge_map[top:low, left:end]
    return found


def normed(pieces: np.ndarray) -> np.ndarray:
    """Pieces `[N, h, w]` as `[N, h * w]` of mean 0 and length 1; 0 where they are flat."""
    flat = pieces.reshape(len(pieces), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    return np.where(length > _FLAT * np.sqrt(flat.shape[1]), flat / np.maximum(length, 1e-12), 0.0).astype(np.float32)
