"""Networks of `keras.applications` by name, all with images in [0, 255] as input."""

from __future__ import annotations

import os
import re

import numpy as np

from kerassl._errors import UserError
from kerassl._lazy import keras
from kerassl.backbones import fast_layers, mobilenet_v3
from kerassl.backbones import weights as _weights
from kerassl.backbones.families import canonical, list_backbones

# The mean and the standard deviation of ImageNet's pixels, in [0, 1].
_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)

# The mean of ImageNet's pixels in [0, 255], blue first, which ResNet50's published weights expect taken away.
_MEAN_BGR = (103.939, 116.779, 123.68)

_TOP_LAYERS = ("predictions", "conv_preds", "conv_2", "logits")


def build(
    name: str = "EfficientNetB1",
    weights: str | os.PathLike | None = None,
    cut_at: str | None = None,
    *,
    batch_norm_momentum: float = 0.9,
    drop_connect: float = 0.0,
) -> keras.Model:
    """Build a backbone: a flat network of any input size, without classifier, with the fast layers.

    Every backbone takes images in [0, 255] and scales them inside, whatever its weights, so that the variants of a
    comparison see the same input.

    Args:
        name: one of `list_backbones()`, as `"EfficientNetB1"`.
        weights: None for a random start, `"imagenet"` for the ones that Keras downloads, or the path of a `.npz`
            (`<layer>/<weight>`), a Keras `.h5` or a `.keras` file that `save` wrote. They must fit whole.
        cut_at: str or None. The name of the layer after which the network is cut.
        batch_norm_momentum: float in (0, 1). Keras's own 0.99 lags behind the weights for hundreds of steps.
        drop_connect: float in [0, 1). The share of residual blocks that are dropped while training. Noise between
            two views harms contrastive pre-training; 0.2 is Keras's own for supervised training.

    Returns:
        Functional `keras.Model` from `[B, H, W, 3]` float32 in [0, 255] to the last feature map `[B, h, w, C]`.

    Raises:
        UserError: if the name, the layer or the weights file is unknown or does not fit.

    Example:
        >>> backbone = kerassl.backbones.build("EfficientNetB1")
        >>> backbone(tf.zeros([1, 224, 224, 3])).shape
        TensorShape([1, 7, 7, 1280])
    """
    family = canonical(name)
    if family is None:
        raise UserError(f"there is no network {name!r}; there are {', '.join(list_backbones())}")
    arrays = None
    if weights == "imagenet":
        arrays = _imagenet(family)
    elif weights is not None:
        arrays, _ = _weights.read(weights)
    source = "Keras's ImageNet file" if weights == "imagenet" else weights
    return from_table(family, arrays, source, cut_at, batch_norm_momentum, drop_connect)


def from_table(
    family: str,
    arrays: dict[str, np.ndarray] | None,
    source: str | os.PathLike | None,
    cut_at: str | None = None,
    batch_norm_momentum: float = 0.9,
    drop_connect: float = 0.0,
) -> keras.Model:
    """Build a backbone from weights by name, or with random weights for None."""
    arrays = _renamed(arrays, family)
    mean, variance = _take_input_scale(arrays, family)
    model = _whole(family)
    names = {layer.name for layer in model.layers}
    if cut_at is not None:
        if cut_at not in names:
            tail = ", ".join(layer.name for layer in model.layers[-3:])
            raise UserError(f"{family} has no layer {cut_at!r} to cut after; its last ones are {tail}")
        model = keras.Model(model.input, model.get_layer(cut_at).output)

    def prepare(layer):
        config = layer.get_config()
        if isinstance(layer, keras.layers.Normalization):
            # As constants of the layer, not as weights: they cannot be lost when weights are copied.
            return keras.layers.Normalization(mean=mean, variance=variance, name="normalization")
        if re.fullmatch(r"rescaling_\d+", layer.name):
            config["name"] = "rescaling"  # Keras numbers the ones of a process
        if isinstance(layer, keras.layers.Dropout):
            # Keras's rates rise linearly from the first to the last block, up to 0.2.
            config["rate"] = config["rate"] / 0.2 * drop_connect
        if isinstance(layer, keras.layers.BatchNormalization):
            config["momentum"] = batch_norm_momentum
        return fast_layers.to_fast(layer.__class__.from_config(config))

    model = keras.models.clone_model(model, clone_function=prepare)
    model = keras.Model(model.input, model.output, name=family.lower())
    if arrays is not None:
        _weights.assign(model, arrays, source, may_be_left=names.union(_TOP_LAYERS))
    return model


def _whole(family):
    if family.startswith("MobileNetV3"):
        return mobilenet_v3.network(family)
    application = getattr(keras.applications, family)
    if family.startswith("EfficientNet"):
        return application(include_top=False, weights=None, input_shape=(None, None, 3))
    inputs = keras.Input((None, None, 3))
    if family == "ResNet50":
        scaled = keras.layers.Rescaling(1.0, offset=[-mean for mean in _MEAN_BGR], name="rescaling")(_as_bgr(inputs))
    else:
        scaled = keras.layers.Rescaling(1 / 127.5, offset=-1, name="rescaling")(inputs)
    return application(include_top=False, weights=None, input_tensor=scaled)


def _as_bgr(images):
    """Turn the channels around by layers of plain Keras without weights.

    A cropping layer with channels first cuts the last two axes, of which the last holds the colors.
    """
    colors = [
        keras.layers.Cropping2D(((0, 0), (first, 2 - first)), data_format="channels_first", name=name)(images)
        for first, name in ((2, "blue"), (1, "green"), (0, "red"))
    ]
    return keras.layers.Concatenate(name="bgr")(colors)


def _imagenet(family):
    try:
        application = getattr(keras.applications, family)
        model = application(include_top=False, weights="imagenet", input_shape=(None, None, 3))
    except Exception as error:  # a download fails in many ways, and some Keras versions cannot read their own file
        reason = str(error).splitlines()[0][:200]
        raise UserError(
            f"Keras could not get its ImageNet weights of {family} ({reason}); give the path of a .h5 or .npz file"
        ) from error
    return _weights.table(model)


def _renamed(arrays, family):
    if arrays is None or not family.startswith("MobileNetV3"):
        return arrays
    parts = {name: name.rsplit("/", 1) for name in arrays}
    return {f"{mobilenet_v3.canonical(layer)}/{weight}": arrays[name] for name, (layer, weight) in parts.items()}


def _take_input_scale(arrays, family):
    """Take the input normalization out of a table of weights; ImageNet's where there is none.

    EfficientNet's published files hold the standard deviation in the place of the variance. Keras makes up for it by
    a second rescaling layer, but only if the weights are asked for as `"imagenet"`; here the square does it.
    """
    mean, variance = np.array(_MEAN), np.square(_DEVIATION)
    if arrays is None or not family.startswith("EfficientNet"):
        return tuple(mean), tuple(variance)
    scale = {name: name.split("/")[1] for name in arrays if re.match(r"normalization(_\d+)?/", name)}
    scale = {weight: np.asarray(arrays.pop(name), "float64").reshape(-1) for name, weight in scale.items()}
    mean, variance = scale.get("mean", mean), scale.get("variance", variance)
    if np.allclose(variance, _DEVIATION, atol=1e-3):
        variance = np.square(variance)
    return tuple(map(float, mean)), tuple(map(float, variance))
