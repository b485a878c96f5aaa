"""Untrained models that see something everywhere, and each in another way."""

import numpy as np


def build(kind, network, classes, image_size, photos):
    """A model with random weights whose answers depend on the image.

    Args:
        kind: str, "localizer", "retinanet" or "yolov8".
        network: str, a backbone's name that `backbones.build` knows.
        classes: list of str.
        image_size: int, side in pixels.
        photos: `[N, S, S, 3]` float32 in [0, 255]. Batch normalization takes its statistics from them: with those that
            it begins with, a deep random network gives nearly the same features for every image.

    Returns:
        `detectors.Localizer` or a detector.
    """
    import kerassl.detectors

    import keras  # isort: skip

    keras.utils.set_random_seed(0)
    backbone = kerassl.backbones.build(network, batch_norm_momentum=0.5)
    kinds = {"localizer": "Localizer", "retinanet": "RetinaNet", "yolov8": "YOLOV8"}
    model = getattr(kerassl.detectors, kinds[kind])(backbone, classes, image_size)
    for _ in range(8):
        model(photos, training=True)
    rng = np.random.default_rng(0)
    for layer, bias in _last_layers(model, kind):
        kernel, _ = layer.get_weights()
        spread = 1.0 / np.sqrt(np.prod(kernel.shape[:-1]))
        layer.set_weights((rng.normal(0, 2 * spread, kernel.shape), bias + rng.normal(0, 1, kernel.shape[-1])))
    return model


def _last_layers(model, kind):
    if kind == "retinanet":
        heads = (("classification_head", -3.0), ("box_head", 0.0))
        return [(model.get_layer(head).prediction_layer, bias) for head, bias in heads]
    if kind == "yolov8":
        heads = (("classification", -3.0), ("box", 0.0))
        return [(model.get_layer(f"{head}_head_p{level}_3"), bias) for head, bias in heads for level in (3, 4, 5)]
    return []
