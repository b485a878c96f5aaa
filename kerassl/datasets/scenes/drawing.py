"""Draws one scene: a textured background, things over it, light over all, and which pixel belongs to what."""

import dataclasses

import numpy as np
import PIL.Image
import PIL.ImageDraw

from kerassl.datasets.scenes.objects import MAKERS, box, colors, ellipse, hsv_to_rgb

SCENE_CLASSES = tuple(MAKERS)
"""Names of the classes of generated scenes."""

_FINER = 3  # things are drawn larger by this factor, for smooth edges
_HIDDEN = 0.15  # no thing is covered so far that less of it can be seen
_DIFFICULT = 0.4  # VOC's flag for a thing of which less can be seen


@dataclasses.dataclass(frozen=True)
class Scene:
    """An image and its ground truth.

    Attributes:
        image: `[H, W, 3]` uint8.
        owners: `[H, W]` uint8, the number of the object that is seen there, from 1; 0 is background.
        names: list of str, the class of object 1, 2, …
        boxes: `[n, 4]` int, (xmin, ymin, xmax, ymax) of the pixels that are seen, inclusive and from 1 as VOC's.
        truncated: `[n]` bool, reaches out of the image.
        occluded: `[n]` bool, covered in part by another.
        difficult: `[n]` bool, mostly hidden.
    """

    image: np.ndarray
    owners: np.ndarray
    names: list
    boxes: np.ndarray
    truncated: np.ndarray
    occluded: np.ndarray
    difficult: np.ndarray


def draw_scene(rng, size, single_object=False, classes=SCENE_CLASSES):
    """Draws a scene.

    Args:
        rng: `numpy.random.Generator`; all there is depends on it.
        size: (height, width) in pixels.
        single_object: bool. One object, not covered by another, instead of one to five.
        classes: sequence of str, those of `SCENE_CLASSES` that things are drawn from.

    Returns:
        `Scene`.
    """
    canvas = _background(rng, size)
    for _ in range(rng.integers(2, 7)):
        _clutter(rng, canvas)
    wanted = 1 if single_object else int(rng.choice([1, 2, 3, 4, 5], p=[0.2, 0.3, 0.25, 0.15, 0.1]))
    owners = np.zeros(size, np.uint8)
    names, whole, covered_from = [], [], []
    for _ in range(8 * wanted):
        if len(names) == wanted:
            break
        name = classes[rng.integers(len(classes))]
        share = rng.uniform(0.35, 0.9) if single_object else rng.uniform(0.22, 0.75)
        thing = _thing(rng, name, share * min(size), size)
        trial = owners.copy()
        _paint_owner(trial, thing, len(names) + 1)
        seen = np.bincount(trial.ravel(), minlength=len(names) + 2)[1:]
        total = np.array([*whole, thing.pixels])
        # A thing that would hide another, or be outside, is tried elsewhere.
        if np.any(seen < _HIDDEN * total) or seen[-1] < 0.6 * thing.pixels or seen[-1] < 60:
            continue
        _paint(canvas, thing)
        owners = trial
        names.append(name)
        whole.append(thing.pixels)
        covered_from.append(seen[-1])
    if not names:  # nothing fitted, in a very small image
        return draw_scene(rng, size, single_object, classes)
    image = _light(rng, canvas)
    seen = np.bincount(owners.ravel(), minlength=len(names) + 1)[1 : len(names) + 1]
    whole, covered_from = np.array(whole), np.array(covered_from)
    return Scene(
        image=image,
        owners=owners,
        names=names,
        boxes=np.array([_box_of(owners == number) for number in range(1, len(names) + 1)], int).reshape(-1, 4),
        truncated=covered_from < whole,
        occluded=seen < covered_from,
        difficult=seen < _DIFFICULT * whole,
    )


@dataclasses.dataclass(frozen=True)
class _Thing:
    top: int
    left: int
    color: np.ndarray  # [h, w, 3] float32
    alpha: np.ndarray  # [h, w] float32 in [0, 1]
    solid: np.ndarray  # [h, w] bool
    pixels: int


def _thing(rng, name, side, size):
    """A thing of the class, about `side` pixels large, somewhere in the image and partly over its edge at most."""
    parts = MAKERS[name](rng)
    turn = np.clip(rng.normal(0, 0.22), -0.6, 0.6)
    stretch = rng.uniform(0.8, 1.25)
    mirror = rng.choice([-1.0, 1.0])
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    matrix = matrix @ np.diag([mirror * np.sqrt(stretch), 1 / np.sqrt(stretch)])
    placed = [(points @ matrix.T, tone) for points, tone in parts]
    corners = np.concatenate([points for points, _ in placed])
    low, high = corners.min(axis=0), corners.max(axis=0)
    scale = side / (high - low).max()
    extent = (high - low) * scale  # (width, height) in pixels
    # Up to a tenth may be outside.
    slack = 0.1 * extent
    corner = rng.uniform(-slack, np.maximum(np.array(size[::-1]) - extent + slack, -slack + 1e-3))
    polygons = [((points - low) * scale + corner, tone) for points, tone in placed]
    return _rasterise(rng, polygons, colors(rng), rng.random() < 0.5)


def _rasterise(rng, polygons, tones, outlined):
    corners = np.concatenate([points for points, _ in polygons])
    left, top = np.floor(corners.min(axis=0)).astype(int) - 1
    right, bottom = np.ceil(corners.max(axis=0)).astype(int) + 2
    width, height = right - left, bottom - top
    tones = np.round(np.clip(tones, 0, 255)).astype(int)
    edge = tuple(tones[min(3, len(tones) - 1)] if outlined else tones[0])
    color = PIL.Image.new("RGB", (width * _FINER, height * _FINER), edge)
    alpha = PIL.Image.new("L", color.size, 0)
    brush, mask = PIL.ImageDraw.Draw(color), PIL.ImageDraw.Draw(alpha)
    for points, tone in polygons:
        # Whole steps of the fine grid, so that no machine rounds a corner otherwise.
        fine = [(int(x), int(y)) for x, y in np.round((points - (left, top)) * _FINER)]
        brush.polygon(fine, fill=tuple(tones[tone]), outline=edge if outlined else None)
        mask.polygon(fine, fill=255)
    color = np.asarray(color.reduce(_FINER), np.float32)
    alpha = np.asarray(alpha.reduce(_FINER), np.float32) / 255
    # A surface that is lit from one side, and not quite even.
    slope = rng.uniform(-0.25, 0.25, 2)
    shade = 1 + slope[0] * np.linspace(-1, 1, height)[:, None] + slope[1] * np.linspace(-1, 1, width)
    grain = _noise(rng, (height, width), max(2, min(height, width) // 6)) - 0.5
    color = color * (shade + rng.uniform(0, 0.35) * grain)[..., None].astype(np.float32)
    solid = alpha >= 0.5
    return _Thing(top, left, color, alpha, solid, int(solid.sum()))


def _window(shape, thing):
    """Slices of the image and of the thing where they meet."""
    height, width = thing.alpha.shape
    # What is wholly outside meets the image in an empty strip at its edge.
    rows, columns = (
        slice(*np.clip([start, start + length], 0, side))
        for start, length, side in zip((thing.top, thing.left), (height, width), shape)
    )
    inside = tuple(
        slice(*np.clip([each.start - start, each.stop - start], 0, length))
        for each, start, length in zip((rows, columns), (thing.top, thing.left), (height, width))
    )
    return (rows, columns), inside


def _paint(canvas, thing):
    place, inside = _window(canvas.shape, thing)
    alpha = thing.alpha[inside][..., None]
    canvas[place] += alpha * (thing.color[inside] - canvas[place])


def _paint_owner(owners, thing, number):
    place, inside = _window(owners.shape, thing)
    owners[place][thing.solid[inside]] = number


def _box_of(mask):
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return columns[0] + 1, rows[0] + 1, columns[-1] + 1, rows[-1] + 1


def _clutter(rng, canvas):
    """A single part of nothing: a disc, a bar, a triangle. A network that knows only parts mistakes it for a thing."""
    height, width = canvas.shape[:2]
    side = rng.uniform(0.05, 0.3) * min(height, width)
    shape = (ellipse(0, 0, 1, rng.uniform(0.5, 1)), box(-1, -rng.uniform(0.1, 0.6), 1, 0.1), rng.uniform(-1, 1, (3, 2)))
    turn = rng.uniform(0, np.pi)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    points = shape[rng.integers(3)] @ matrix.T * side + rng.uniform(0, 1, 2) * (width, height)
    thing = _rasterise(rng, [(points, 0)], colors(rng)[rng.integers(5)][None], False)
    _paint(canvas, thing)


def _noise(rng, size, cells):
    """Smooth noise in about [0, 1], with this many cells along the long side."""
    height, width = size
    rows, columns = (max(2, round(cells * side / max(size))) for side in size)
    grid = PIL.Image.fromarray(rng.integers(0, 256, (rows, columns), np.uint8))
    return np.asarray(grid.resize((width, height), PIL.Image.Resampling.BICUBIC), np.float32) / 255


def _background(rng, size):
    """One of five kinds of ground, between two or three colors, with texture of several sizes."""
    height, width = size
    base = rng.uniform()
    hue = base + rng.uniform(-0.2, 0.2, 3)
    ground = 255 * hsv_to_rgb(hue, rng.uniform(0.05, 0.6, 3), rng.uniform(0.3, 0.95, 3))  # [3, 3]
    y, x = np.linspace(0, 1, height)[:, None], np.linspace(0, 1, width)[None]
    angle = rng.uniform(0, np.pi)
    along = np.cos(angle) * x * width / height + np.sin(angle) * y
    rough = 0.5 * _noise(rng, size, 4) + 0.3 * _noise(rng, size, 11) + 0.2 * _noise(rng, size, 31)
    kind = rng.integers(5)
    if kind == 0:  # a slope from one color to another
        mix = along - along.min()
        mix = mix / mix.max()
    elif kind == 1:  # clouds
        mix = np.clip(2 * rough - 0.5, 0, 1)
    elif kind == 2:  # stripes, straight or waved
        mix = 0.5 + 0.5 * np.sin(2 * np.pi * (along * rng.uniform(3, 14) + rng.uniform(0, 1.5) * rough))
    elif kind == 3:  # sky over land
        horizon = rng.uniform(0.3, 0.75) + 0.25 * (rough - 0.5)
        mix = np.where(y < horizon, 0.3 * y / 0.75, np.clip(0.7 + 0.6 * (rough - 0.5), 0, 1))
    else:  # checks and bricks
        rows = np.floor(y * rng.integers(4, 10))
        mix = (np.floor(x * rng.integers(4, 10) + 0.5 * (rows % 2)) + rows) % 2 * 0.6
    mix = np.clip(mix + 0.35 * (rough - 0.5), 0, 1)[..., None]
    canvas = ground[0] + mix * (ground[1] - ground[0])
    patches = np.clip(6 * (_noise(rng, size, rng.integers(3, 9)) - rng.uniform(0.6, 0.9)), 0, 1)[..., None]
    canvas = canvas + 0.6 * patches * (ground[2] - canvas)
    fine = _noise(rng, size, max(size) // 2)[..., None] - 0.5
    return (canvas * (1 + rng.uniform(0.05, 0.3) * fine)).astype(np.float32)


def _light(rng, canvas):
    """Exposure, a color cast, a slope of light across the image, and the sensor's noise."""
    height, width = canvas.shape[:2]
    slope = rng.uniform(-0.25, 0.25, 2)
    field = 1 + slope[0] * np.linspace(-1, 1, height)[:, None] + slope[1] * np.linspace(-1, 1, width)
    gain = rng.uniform(0.6, 1.2) * rng.uniform(0.88, 1.12, 3)
    noise = rng.normal(0, rng.uniform(1, 6), canvas.shape[:2])[..., None]
    return np.clip(np.round(canvas * field[..., None] * gain + noise), 0, 255).astype(np.uint8)
