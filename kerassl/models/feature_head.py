"""A localiser's neck and head alone, on feature maps that are at hand."""

import keras

from kerassl.models.localizer_head import localizer_outputs


def feature_head(localizer, features):
    """Builds neck and head of a localiser as a model of their own, with their weights as they are now.

    Args:
        localizer: `Localizer`.
        features: `FrozenFeatures`, for the shapes of the maps.

    Returns:
        `keras.Model` from the maps, `[B, h, w, C]` each, to what the localiser returns.
    """
    maps = [keras.Input(level.shape[2:]) for level in features.maps]
    outputs = localizer_outputs(maps, len(localizer.classes), localizer.width, localizer.levels)
    head = keras.Model(maps, outputs, name="feature_head")
    copy_weights(localizer, head, head.layers)
    return head


def copy_weights(source, target, layers):
    """Copies the weights of some layers, which both models have, by the layers' names."""
    for layer in layers:
        if layer.weights:
            target.get_layer(layer.name).set_weights(source.get_layer(layer.name).get_weights())
