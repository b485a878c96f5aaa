"""A localiser's neck and head alone, on feature maps that are at hand."""

import functools

import keras
import tensorflow as tf

from kerassl.detectors.localizer.head import localizer_outputs


def feature_head(localizer, features):
    """Neck and head of a localiser as a model of their own, with their weights as they are now.

    Localizers of one form share one model, which is traced once; each call gives it the weights of its localizer.

    Args:
        localizer: `Localizer`.
        features: `FrozenFeatures`, for the shapes of the maps.

    Returns:
        `keras.Model` from the maps, `[B, h, w, C]` each, to what the localiser returns.
    """
    shapes = tuple(tuple(level.shape[2:]) for level in features.maps)
    form = (shapes, len(localizer.class_names), localizer.num_filters, localizer.levels)
    head = _built_once(localizer.get_layer("sides").compute_dtype, tf.distribute.get_strategy(), *form)
    copy_weights(localizer, head, head.layers)
    return head


@functools.lru_cache(maxsize=4)
def _built_once(dtype, strategy, shapes, classes, num_filters, levels):
    """One head for all localizers of a form; type and strategy are those of the process."""
    maps = [keras.Input(shape) for shape in shapes]
    return keras.Model(maps, localizer_outputs(maps, classes, num_filters, levels), name="feature_head")


def copy_weights(source, target, layers):
    """Copies the weights of some layers, which both models have, by the layers' names."""
    for layer in layers:
        if layer.weights:
            target.get_layer(layer.name).set_weights(source.get_layer(layer.name).get_weights())
