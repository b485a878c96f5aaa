"""Untrained models that see something everywhere."""

import keras
import numpy as np

from kerassl import detectors

CLASSES = ["red", "green", "blue"]


def detector(backbone):
    """With random heads, which see something everywhere."""
    keras.utils.set_random_seed(0)
    model = detectors.RetinaNet(backbone, CLASSES, image_size=64, num_filters=32)
    rng = np.random.default_rng(0)
    for head, bias in (("classification_head", -3.0), ("box_head", 0.0)):
        layer = model.get_layer(head).prediction_layer
        kernel, _ = layer.get_weights()
        layer.set_weights((rng.normal(0, 0.06, kernel.shape), bias + rng.normal(0, 1, kernel.shape[-1])))
    return model


def yolov8(backbone):
    """The same of the other kind."""
    keras.utils.set_random_seed(0)
    model = detectors.YOLOV8(backbone, CLASSES, image_size=64, num_filters=8)
    rng = np.random.default_rng(0)
    for head, bias in (("classification", -3.0), ("box", 0.0)):
        for level in (3, 4, 5):
            layer = model.get_layer(f"{head}_head_p{level}_3")
            kernel, _ = layer.get_weights()
            layer.set_weights((rng.normal(0, 1, kernel.shape), bias + rng.normal(0, 1, kernel.shape[-1])))
    return model


def localizer(backbone):
    """With the random weights that it begins with."""
    keras.utils.set_random_seed(0)
    return detectors.Localizer(backbone, CLASSES, 64)


def vivid(backbone):
    """The same backbone with larger kernels, so that answers differ between images by much more than they may err."""
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.Conv2D):
            layer.set_weights([1.6 * weight for weight in layer.get_weights()])
    return backbone
