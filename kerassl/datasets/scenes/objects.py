"""The things that scenes are made of: each class a few distinct parts, every part a polygon in [-1, 1] by [-1, 1].

A part is (points, tone): y grows downwards, and the tone is a place in the object's colors. Colors are drawn without
looking at the class, so that the shape alone identifies a thing.
"""

import numpy as np

MAIN, SECOND, THIRD, DARK, LIGHT = range(5)


def ellipse(x, y, width, height=None, turn=0.0):
    """A polygon close to an ellipse with half axes `width` and `height`, turned by `turn` radians."""
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    across, down = width * np.cos(angle), (width if height is None else height) * np.sin(angle)
    cos, sin = np.cos(turn), np.sin(turn)
    return np.stack([x + cos * across - sin * down, y + sin * across + cos * down], axis=1)


def box(x0, y0, x1, y1):
    """A rectangle."""
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])


def _boat(rng):
    mast, rake = rng.uniform(-0.15, 0.15), rng.uniform(0.1, 0.3)
    parts = [
        (box(mast - 0.04, -0.95, mast + 0.04, 0.4), DARK),
        (np.array([[mast + 0.08, -0.9], [mast + 0.08, 0.25], [0.85, 0.25]]), SECOND),
        (np.array([[mast - 0.08, -0.7], [mast - 0.08, 0.25], [-0.75, 0.25]]), THIRD),
        (np.array([[-1, 0.35], [1, 0.35], [1 - rake - 0.1, 0.85], [-1 + rake, 0.85]]), MAIN),
        (np.array([[-0.97, 0.42], [0.97, 0.42], [0.92, 0.52], [-0.92, 0.52]]), LIGHT),
    ]
    return parts + [(ellipse(x, 0.65, 0.06), LIGHT) for x in np.linspace(-0.45, 0.45, rng.integers(2, 5))]


def _car(rng):
    roof, back = rng.uniform(-0.62, -0.5), rng.uniform(-0.6, -0.4)
    front, wheel = rng.uniform(0.25, 0.4), rng.uniform(0.2, 0.26)
    parts = [
        (np.array([[back - 0.2, 0], [back, roof], [front, roof], [front + 0.3, 0]]), SECOND),
        (np.array([[back - 0.08, -0.03], [back + 0.06, roof + 0.09], [-0.12, roof + 0.09], [-0.12, -0.03]]), LIGHT),
        (np.array([[-0.02, -0.03], [-0.02, roof + 0.09], [front - 0.04, roof + 0.09], [front + 0.18, -0.03]]), LIGHT),
        (np.array([[-1, 0.0], [0.7, 0.0], [0.98, 0.14], [1, 0.4], [-1, 0.4]]), MAIN),
        (box(-0.1, 0.08, 0.08, 0.13), DARK),
        (ellipse(0.92, 0.2, 0.07, 0.09), LIGHT),
        (box(-1, 0.08, -0.9, 0.2), THIRD),
    ]
    for x in (-0.55, 0.55):
        parts += [(ellipse(x, 0.42, wheel), DARK), (ellipse(x, 0.42, wheel * 0.5), LIGHT)]
    return parts


def _face(rng):
    wide, eye, smile = rng.uniform(0.62, 0.78), rng.uniform(0.13, 0.18), rng.uniform(-0.1, 0.28)
    look = rng.uniform(-0.05, 0.05, 2)
    bend = np.linspace(-1, 1, 9)
    mouth = np.concatenate(
        [
            np.stack([0.4 * bend, 0.45 + smile * (1 - bend**2)], axis=1),
            np.stack([0.4 * bend, 0.53 + (smile + 0.05) * (1 - bend**2)], axis=1)[::-1],
        ]
    )
    parts = [(ellipse(side * wide, 0.05, 0.14, 0.2), SECOND) for side in (-1, 1)]
    parts += [
        (ellipse(0, -0.25, wide * 1.05, 0.72), THIRD),
        (ellipse(0, 0.12, wide, 0.82), MAIN),
        (np.array([[0, -0.02], [0.11, 0.3], [-0.11, 0.3]]), SECOND),
        (mouth, DARK),
    ]
    for side in (-0.3, 0.3):
        parts += [
            (ellipse(side, -0.08, eye, eye * 0.85), LIGHT),
            (ellipse(side + look[0], -0.08 + look[1], eye * 0.5), DARK),
            (box(side - 0.17, -0.33, side + 0.17, -0.26), DARK),
        ]
    return parts


def _fish(rng):
    tall, tail = rng.uniform(0.38, 0.52), rng.uniform(0.35, 0.5)
    parts = [
        (np.array([[-0.45, 0], [-1, -tail], [-0.84, 0], [-1, tail]]), SECOND),
        (np.array([[-0.35, -0.2], [0.05, -tall - 0.3], [0.4, -0.2]]), THIRD),
        (np.array([[-0.15, 0.2], [-0.2, tall + 0.2], [0.25, 0.25]]), THIRD),
        (ellipse(0.2, 0, 0.78, tall), MAIN),
    ]
    for x in np.linspace(-0.25, 0.25, rng.integers(2, 4)):
        half = tall * np.sqrt(1 - ((x - 0.2) / 0.78) ** 2) * 0.85
        parts.append((box(x - 0.05, -half, x + 0.05, half), SECOND))
    return parts + [
        (ellipse(0.62, -0.1, 0.11), LIGHT),
        (ellipse(0.64, -0.1, 0.05), DARK),
        (np.array([[0.98, 0.08], [0.76, 0.14], [0.9, 0.2]]), DARK),
    ]


def _flower(rng):
    petals, center = int(rng.integers(5, 9)), rng.uniform(0.15, 0.2)
    parts = [
        (box(-0.045, -0.2, 0.045, 1), SECOND),
        (ellipse(0.27, 0.5, 0.28, 0.11, -0.5), SECOND),
        (ellipse(-0.27, 0.65, 0.28, 0.11, 0.5), SECOND),
    ]
    for angle in np.linspace(0, 2 * np.pi, petals, endpoint=False) + rng.uniform(0, 1):
        x, y = 0.36 * np.cos(angle), -0.4 + 0.36 * np.sin(angle)
        parts.append((ellipse(x, y, 0.26, 1.1 / petals, angle), MAIN))
    return parts + [(ellipse(0, -0.4, center), THIRD), (ellipse(0, -0.4, center * 0.55), DARK)]


def _house(rng):
    eaves, door = rng.uniform(-0.25, -0.05), rng.uniform(-0.45, 0.2)
    window = door + 0.6 if door < -0.1 else door - 0.6
    parts = [
        (box(0.3, -0.85, 0.5, eaves), THIRD),
        (box(-0.75, eaves - 0.02, 0.75, 0.9), MAIN),
        (np.array([[-0.98, eaves], [0, -0.98], [0.98, eaves]]), SECOND),
        (box(door - 0.17, 0.28, door + 0.17, 0.9), DARK),
        (ellipse(door + 0.1, 0.6, 0.035), LIGHT),
        (box(window - 0.2, 0.15, window + 0.2, 0.5), LIGHT),
        (box(window - 0.02, 0.15, window + 0.02, 0.5), DARK),
        (box(window - 0.2, 0.305, window + 0.2, 0.345), DARK),
    ]
    return parts + [(ellipse(0, (eaves - 0.9) / 2 + 0.03, 0.12), LIGHT)]


def _rocket(rng):
    slim, fin = rng.uniform(0.26, 0.34), rng.uniform(0.25, 0.4)
    side = np.linspace(-0.45, 0.55, 6)
    bulge = slim * (1 - 0.25 * side**2)
    hull = np.concatenate([np.stack([bulge, side], axis=1), np.stack([-bulge, side], axis=1)[::-1]])
    parts = [(np.array([[-0.15, 0.55], [-0.07, 0.82], [0, 1], [0.07, 0.82], [0.15, 0.55]]), LIGHT)]
    parts += [
        (
            np.array(
                [[s * slim * 0.8, 0.05], [s * (slim + fin), 0.5], [s * (slim + fin), 0.8], [s * slim * 0.6, 0.55]]
            ),
            THIRD,
        )
        for s in (-1, 1)
    ]
    parts += [
        (hull, MAIN),
        (
            np.array(
                [[-bulge[0], -0.44], [-bulge[0] * 0.6, -0.75], [0, -1], [bulge[0] * 0.6, -0.75], [bulge[0], -0.44]]
            ),
            SECOND,
        ),
        (box(-slim * 0.9, 0.38, slim * 0.9, 0.48), SECOND),
    ]
    for y in np.linspace(-0.2, 0.15, rng.integers(1, 3)):
        parts += [(ellipse(0, y, 0.14), DARK), (ellipse(0, y, 0.09), LIGHT)]
    return parts


def _tree(rng):
    parts = [(np.array([[-0.11, 0.1], [0.11, 0.1], [0.17, 1], [-0.17, 1]]), SECOND)]
    if rng.random() < 0.5:  # a fir
        for level, y in enumerate(np.linspace(0.55, -0.35, 3)):
            half = 0.72 - 0.17 * level
            parts.append((np.array([[-half, y], [0, y - 0.64], [half, y]]), MAIN if level != 1 else THIRD))
        return parts
    for x, y, radius in ((-0.36, -0.05, 0.38), (0.36, -0.05, 0.38), (0, -0.45, 0.5)):
        parts.append((ellipse(x, y, radius * rng.uniform(0.9, 1.1)), MAIN))
    spots = rng.uniform(-0.45, 0.45, (int(rng.integers(3, 7)), 2))
    return parts + [(ellipse(x, y * 0.7 - 0.3, 0.08), THIRD) for x, y in spots]


MAKERS = {
    "boat": _boat,
    "car": _car,
    "face": _face,
    "fish": _fish,
    "flower": _flower,
    "house": _house,
    "rocket": _rocket,
    "tree": _tree,
}


def colors(rng):
    """Five colors, `[5, 3]` in [0, 255]: three of different hue, one dark, one light."""
    hue = rng.uniform() + np.array([0, rng.uniform(0.15, 0.45), rng.uniform(0.5, 0.85), 0.3, 0.7])
    saturation = np.array([*rng.uniform(0.25, 0.95, 3), 0.3, rng.uniform(0, 0.2)])
    value = np.array([*rng.uniform(0.35, 1.0, 3), rng.uniform(0.08, 0.22), rng.uniform(0.88, 1.0)])
    return 255 * hsv_to_rgb(hue, saturation, value)


def hsv_to_rgb(hue, saturation, value):
    """Colors `[..., 3]` in [0, 1]; the hue wraps at 1."""
    ramp = (np.asarray(hue)[..., None] * 6 + np.array([5.0, 3.0, 1.0])) % 6
    dip = np.clip(np.minimum(ramp, 4 - ramp), 0, 1)
    return np.asarray(value)[..., None] * (1 - np.asarray(saturation)[..., None] * dip)
