import numpy as np
import pytest


@pytest.fixture
def tiny_detector(tiny_backbone):
    """A compiled detector that trains in seconds: `tiny_detector(classes=…, image_size=64)`."""
    from kerassl import detectors

    def build(classes=("red", "blue"), image_size=64, **kwargs):
        return detectors.retinanet(tiny_backbone(), list(classes), image_size=image_size, **kwargs)

    return build


@pytest.fixture(scope="session")
def rectangles():
    """`rectangles(count)`: images `[N, S, S, 3]` of a red and a blue rectangle, boxes `[N, 2, 4]`, classes `[N, 2]`."""

    def draw(count, size=64, seed=0):
        rng = np.random.default_rng(seed)
        images = rng.uniform(90, 110, (count, size, size, 3)).astype("float32")
        boxes, classes = np.zeros((count, 2, 4), "float32"), np.tile([[0.0, 1.0]], (count, 1)).astype("float32")
        half = size // 2
        for index in range(count):
            for kind in range(2):
                width, height = rng.integers(size // 4, half, 2)
                x, y = rng.integers(0, half - width + 1) + half * kind, rng.integers(0, size - height + 1)
                images[index, y : y + height, x : x + width] = [(220, 30, 30), (30, 30, 220)][kind]
                boxes[index, kind] = (x, y, x + width, y + height)
        return images, boxes, classes

    return draw
