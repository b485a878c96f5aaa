"""Small detectors, and images of rectangles for them to learn from."""

import keras
import numpy as np
import pytest


@pytest.fixture(scope="session")
def tiny_detector(tiny_backbone):
    """A compiled detector that trains in seconds: `tiny_detector("YOLOV8", image_size=64, learning_rate=1e-2)`."""
    from kerassl import detectors

    def build(
        kind="RetinaNet", class_names=("red", "blue"), image_size=64, backbone=None, learning_rate=1e-3, **kwargs
    ):
        kwargs = {"num_filters": {"RetinaNet": 64, "YOLOV8": 8}[kind], **kwargs}
        model = getattr(detectors, kind)(backbone or tiny_backbone(), class_names, image_size, **kwargs)
        model.compile("adamw", learning_rate)
        return model

    return build


def _noisy_heads(model):
    """The detector with random heads, which see something everywhere."""
    rng = np.random.default_rng(0)
    if model.name == "retinanet":
        heads = (("classification_head", -3.0), ("box_head", 0.0))
        heads = [(model.get_layer(head).prediction_layer, bias) for head, bias in heads]
    else:
        names = {"classification": -3.0, "box": 0.0}
        heads = [(model.get_layer(f"{kind}_head_p{p}_3"), bias) for kind, bias in names.items() for p in (3, 4, 5)]
    for layer, bias in heads:
        kernel, _ = layer.get_weights()
        scale = 0.02 if model.name == "retinanet" else 1.0  # of features that are of size 1, or after swish far less
        layer.set_weights((rng.normal(0, scale, kernel.shape), bias + rng.normal(0, 1, kernel.shape[-1])))
    return model


@pytest.fixture(scope="session")
def noisy_heads():
    return _noisy_heads


@pytest.fixture(params=["RetinaNet", pytest.param("YOLOV8", marks=pytest.mark.current_stack)], scope="module")
def eager_detector(request, tiny_detector):
    """A detector of either kind with random heads, which sees something everywhere."""
    keras.utils.set_random_seed(0)
    return _noisy_heads(tiny_detector(request.param, class_names=["red", "green", "blue"]))


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
