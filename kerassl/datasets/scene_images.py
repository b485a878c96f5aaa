"""One toy scene: a textured background, distractors, objects that occlude each other, and the truth about them."""

import dataclasses

import numpy as np
import PIL.Image
import PIL.ImageDraw

from kerassl.datasets.scene_objects import SCENE_CLASSES, distinct_colours, draw_object, shade

FINE = 2  # sub-pixels a side, for smooth edges
LEAST_PIXELS, LEAST_VISIBLE, DIFFICULT_BELOW = 40, 0.10, 0.35


@dataclasses.dataclass(frozen=True)
class SceneObject:
    """An object as it is seen.

    Attributes:
        name: str, its class.
        box: (xmin, ymin, xmax, ymax) of its visible pixels, counted from 1 and inclusive as in VOC.
        truncated: bool. The box is notably smaller than that of the whole object.
        difficult: bool. Less than 35 % of the object is visible.
    """

    name: str
    box: tuple
    truncated: bool
    difficult: bool


def draw_scene(rng, image_size, single_object=False, name=None):
    """Draws a scene.

    Objects of which hardly anything would be seen are not drawn at all, so that no unlabelled piece is left over.

    Args:
        rng: `numpy.random.Generator`.
        image_size: (height, width) in pixels.
        single_object: bool. One whole object of at least 35 % of the image's short side, on a busier background.
        name: str or None. Class of the frontmost object; the others are drawn by chance.

    Returns:
        Image `[height, width, 3]` uint8, mask `[height, width]` uint8 (0 background, `k` the `k`-th object), and the
        list of `SceneObject`s.
    """
    canvas = _background(rng, image_size)
    for _ in range(rng.integers(2, 6) if single_object else rng.integers(0, 4)):
        _distractor(canvas, rng)
    names = [] if single_object else list(rng.choice(SCENE_CLASSES, rng.integers(0, 4)))
    names.append(name if name is not None else rng.choice(SCENE_CLASSES))
    placed = [_Placed(str(each), rng, canvas, single_object) for each in names]
    owner = _owner(placed, image_size)
    kept = [each for number, each in enumerate(placed, start=1) if _seen_enough(each, owner == number)]
    mask = _owner(kept, image_size)
    for each in kept:
        canvas.paste(PIL.Image.fromarray(each.colours), each.place, PIL.Image.fromarray(each.silhouette))
    image = np.asarray(canvas.reduce(FINE), np.float32) + rng.normal(0, rng.uniform(0, 6), (*image_size, 1))
    objects = [_describe(each, mask == number) for number, each in enumerate(kept, start=1)]
    return shade(image, rng, 0.2), mask, objects


class _Placed:
    """An object with its place in sub-pixels; its own `mask` and `area` are those without occlusion and border."""

    def __init__(self, name, rng, canvas, whole):
        width, height = canvas.size
        short = min(width, height)
        share = rng.uniform(0.35, 0.75) if whole else 0.16 * (0.7 / 0.16) ** rng.uniform()
        side = max(share * short, 20 * FINE)
        self.name = name
        mean = np.asarray(canvas.resize((1, 1), PIL.Image.Resampling.BOX), float)[0, 0]
        self.colours, silhouette = draw_object(name, rng, side, [mean])
        self.silhouette = silhouette.astype(np.uint8) * 255
        tall, wide = silhouette.shape
        # Objects among others may reach out of the image by up to a fifth.
        out = 0 if whole else 0.2
        left = rng.uniform(-out * wide, width - wide + out * wide)
        top = rng.uniform(-out * tall, height - tall + out * tall)
        # Whole pixels, so that the mask of the whole object is the same wherever it lies.
        self.place = (int(left) // FINE * FINE, int(top) // FINE * FINE)
        padded = np.pad(silhouette, ((0, -tall % FINE), (0, -wide % FINE)))
        blocks = padded.reshape(padded.shape[0] // FINE, FINE, padded.shape[1] // FINE, FINE)
        self.mask = blocks.mean((1, 3)) >= 0.5
        self.area = int(self.mask.sum())


def _owner(placed, image_size):
    """The number, from 1, of the object that covers most of a pixel and is in front; 0 is background."""
    owner = PIL.Image.new("L", image_size[::-1])
    for number, each in enumerate(placed, start=1):
        left, top = (at // FINE for at in each.place)
        owner.paste(number, (left, top), PIL.Image.fromarray(each.mask.astype(np.uint8) * 255))
    return np.asarray(owner)


def _seen_enough(placed, visible):
    return visible.sum() >= max(LEAST_PIXELS, LEAST_VISIBLE * placed.area)


def _describe(placed, visible):
    box, whole = _extent(visible), _extent(placed.mask)
    sides, whole_sides = (np.subtract(each[2:], each[:2]) + 1 for each in (box, whole))
    return SceneObject(
        name=placed.name,
        box=box,
        truncated=bool((sides < 0.95 * whole_sides).any()),
        difficult=bool(visible.sum() < DIFFICULT_BELOW * placed.area),
    )


def _extent(mask):
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]) + 1, int(rows[0]) + 1, int(columns[-1]) + 1, int(rows[-1]) + 1


def _background(rng, image_size):
    """A gradient with one of five textures, as a Pillow image in sub-pixels."""
    height, width = image_size
    y, x = np.mgrid[:height, :width].astype(np.float32)
    angle, period = rng.uniform(0, np.pi), rng.uniform(8, 40)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    first, second, third = rng.uniform(30, 225, (3, 3))
    ramp = (along - along.min()) / np.ptp(along)
    base = first + (second - first) * ramp[:, :, None]
    texture = rng.integers(5)
    if texture == 0:
        pattern = np.zeros_like(ramp)
    elif texture == 1:
        pattern = (across % period > period / 2).astype(np.float32)
    elif texture == 2:
        pattern = ((along // period + across // period) % 2).astype(np.float32)
    elif texture == 3:
        pattern = _smooth_noise(rng, image_size, rng.integers(4, 12)) > 0.55
    else:
        pattern = sum(_smooth_noise(rng, image_size, cells) for cells in (5, 15, 60)) / 3
    strength = rng.uniform(0.15, 0.5)
    mixed = base + strength * (third - base) * np.asarray(pattern, np.float32)[:, :, None]
    fine = PIL.Image.fromarray(np.clip(mixed, 0, 255).astype(np.uint8))
    return fine.resize((width * FINE, height * FINE), PIL.Image.Resampling.NEAREST)


def _smooth_noise(rng, image_size, cells):
    coarse = PIL.Image.fromarray(rng.random((cells, cells), np.float32))
    return np.asarray(coarse.resize(image_size[::-1], PIL.Image.Resampling.BICUBIC))


def _distractor(canvas, rng):
    """Paints one plain shape, which is no object: an ellipse, a ring, a bar or a polygon of one colour."""
    width, height = canvas.size
    centre, radius = rng.uniform(0, 1, 2) * (width, height), rng.uniform(0.05, 0.2) * min(width, height)
    colour = tuple(int(value) for value in distinct_colours(rng, 1)[0])
    kind = rng.integers(4)
    pen = PIL.ImageDraw.Draw(canvas)
    bounds = [*(centre - radius), *(centre + radius * rng.uniform(0.6, 1, 2))]
    if kind == 0:
        pen.ellipse(bounds, fill=colour)
    elif kind == 1:
        pen.ellipse(bounds, outline=colour, width=max(1, int(radius / 4)))
    elif kind == 2:
        end = centre + 2 * radius * rng.uniform(-1, 1, 2)
        pen.line([*centre, *end], fill=colour, width=max(2, int(radius / 4)))
    else:
        angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 6)))
        pen.polygon([tuple(centre + radius * np.array([np.cos(each), np.sin(each)])) for each in angles], fill=colour)
