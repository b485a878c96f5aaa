"""Networks of `keras.applications` by name, all with images in [0, 255] as input."""

from __future__ import annotations

import os
import re

import numpy as np

from kerassl._errors import UserError
from kerassl._lazy import compat as _compat
from kerassl._lazy import keras
from kerassl.backbones import fast_layers, matching, mobilenet_v3
from kerassl.backbones import weights as _weights
from kerassl.backbones.families import Family, find
from kerassl.backbones.published import imagenet_file

# The mean and the standard deviation of ImageNet's pixels, in [0, 1].
_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)

# The mean of ImageNet's pixels in [0, 255], blue first, which ResNet50's published weights expect taken away.
_MEAN_BGR = (103.939, 116.779, 123.68)


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
        weights: None for a random start, `"imagenet"` for the ones that Keras publishes, or the path of a file, with
            or without classifier: `.h5`, `.weights.h5` or `.keras` of either Keras version, a `.keras` file that `save`
            wrote, or `.npz` (`<layer>/<weight>`). They must fit whole. No code in a file is run.
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
    family = find(name).name
    arrays = None
    if weights is not None:
        weights = imagenet_file(family) if weights == "imagenet" else weights
        arrays, _ = _weights.read(weights)
    return from_table(family, arrays, weights, cut_at, batch_norm_momentum, drop_connect)


def from_table(
    family: str,
    arrays: dict[str, np.ndarray] | None,
    source: str | os.PathLike | None,
    cut_at: str | None = None,
    batch_norm_momentum: float = 0.9,
    drop_connect: float = 0.0,
) -> keras.Model:
    """Build a backbone from weights by name, or with random weights for None."""
    model = _stock(find(family))
    layers = matching.leaves(model)
    names = matching.lasting_names(layers)
    top = set(matching.TOP)
    if arrays is not None:
        rename = mobilenet_v3.canonical if family.startswith("MobileNetV3") else _without_slashes
        arrays, top = matching.match(arrays, matching.targets(model, names), rename)
    mean, variance = _take_input_scale(arrays)
    if family.startswith("ConvNeXt"):
        model = _flat(model, names)
    if cut_at is not None:
        last = next((layer for layer in model.layers if names[layer.name] == cut_at), None)
        if last is None:
            tail = ", ".join(names[layer.name] for layer in model.layers[-3:])
            raise UserError(f"{family} has no layer {cut_at!r} to cut after; its last ones are {tail}")
        model = keras.Model(model.input, last.output)

    def prepare(layer):
        config = {**layer.get_config(), "name": names[layer.name]}
        if isinstance(layer, keras.layers.Normalization):
            # As constants of the layer, not as weights: they cannot be lost when weights are copied.
            return keras.layers.Normalization(mean=mean, variance=variance, name="normalization")
        if isinstance(layer, keras.layers.Dropout):
            # Keras's rates rise linearly from the first to the last block, up to 0.2.
            config["rate"] = config["rate"] / 0.2 * drop_connect
        if isinstance(layer, keras.layers.BatchNormalization):
            config["momentum"] = batch_norm_momentum
        return fast_layers.to_fast(layer.__class__.from_config(config))

    model = keras.models.clone_model(model, clone_function=prepare)
    model = keras.Model(model.inputs[0], model.output, name=family.lower())
    if arrays is not None:
        _weights.assign(model, arrays, source, may_be_left=top.union(names.values()))
    return model


def _stock(family: Family):
    """The network as Keras has it, for images in [0, 255]."""
    if family.name.startswith("MobileNetV3"):
        return mobilenet_v3.network(family.name)
    application = getattr(keras.applications, family.name)
    if family.name.startswith("ConvNeXt"):  # `_flat` adds the scale
        return application(include_top=False, weights=None, input_shape=(None, None, 3), include_preprocessing=False)
    if family.scale == "own":
        return application(include_top=False, weights=None, input_shape=(None, None, 3))
    inputs = keras.Input((None, None, 3))
    if family.scale == "caffe":
        scaled = keras.layers.Rescaling(1.0, offset=[-mean for mean in _MEAN_BGR], name="rescaling")(_as_bgr(inputs))
    elif family.scale == "tf":
        scaled = keras.layers.Rescaling(1 / 127.5, offset=-1, name="rescaling")(inputs)
    else:
        scaled = _normalized(inputs)
    return application(include_top=False, weights=None, input_tensor=scaled)


def _normalized(images):
    scaled = keras.layers.Rescaling(1 / 255, name="rescaling")(images)
    return keras.layers.Normalization(mean=_MEAN, variance=np.square(_DEVIATION), name="normalization")(scaled)


def _flat(model, names):
    """ConvNeXt, with its scale, of layers of plain Keras alone: no models in it, no sums of tensors that are no layers.

    Args:
        model: functional `keras.Model`.
        names: dict of the names that its layers have; those of new ones are added.
    """
    outputs: dict[int, keras.KerasTensor] = {}
    names |= {"rescaling": "rescaling", "normalization": "normalization"}
    sums = 0
    for operation, inputs, output in _compat.operations(model):
        given = [outputs[id(each)] for each in inputs]
        if not inputs:
            result = _normalized(output)
        elif len(inputs) == 2:
            name = f"add_{sums}" if sums else "add"
            names[name], sums = name, sums + 1
            result = keras.layers.Add(name=name)(given)
        else:
            result = given[0]
            for layer in matching.leaves(operation) if isinstance(operation, keras.Model) else [operation]:
                if not isinstance(layer, keras.layers.InputLayer):
                    result = _plain(layer)(result)
        outputs[id(output)] = result
    return keras.Model(model.input, outputs[id(model.output)])


def _plain(layer):
    """The layer again; a product by a weight for each channel, and a convolution of each by itself, as Keras has them.

    Keras compiles a convolution of groups on a CPU, which no servable can hold.
    """
    config = layer.get_config()
    if type(layer).__name__ == "LayerScale":
        return keras.layers.EinsumDense(
            "...c,c->...c",
            output_shape=(config["projection_dim"],),
            kernel_initializer=keras.initializers.Constant(config["init_values"]),
            name=layer.name,
        )
    if config.get("groups", 1) > 1:
        return keras.layers.DepthwiseConv2D(config["kernel_size"], padding=config["padding"], name=layer.name)
    return layer.__class__.from_config(config)


def _as_bgr(images):
    """Turn the channels around by layers of plain Keras without weights.

    A cropping layer with channels first cuts the last two axes, of which the last holds the colors.
    """
    colors = [
        keras.layers.Cropping2D(((0, 0), (first, 2 - first)), data_format="channels_first", name=name)(images)
        for first, name in ((2, "blue"), (1, "green"), (0, "red"))
    ]
    return keras.layers.Concatenate(name="bgr")(colors)


def _without_slashes(name):
    """The name of a layer on Keras 3, which has a _ where Keras 2.15 has a slash."""
    return name.replace("/", "_")


def _take_input_scale(arrays):
    """Take the input normalization out of weights by name; ImageNet's where there is none.

    EfficientNet's published files hold the standard deviation in the place of the variance. Keras makes up for it by
    a second rescaling layer, but only if the weights are asked for as `"imagenet"`; here the square does it.
    """
    mean, variance = np.array(_MEAN), np.square(_DEVIATION)
    if arrays is None:
        return tuple(mean), tuple(variance)
    scale = {name: name.split("/")[1] for name in arrays if re.match(r"normalization(_\d+)?/", name)}
    scale = {weight: np.asarray(arrays.pop(name), "float64").reshape(-1) for name, weight in scale.items()}
    mean, variance = scale.get("mean", mean), scale.get("variance", variance)
    if np.allclose(variance, _DEVIATION, atol=1e-3):
        variance = np.square(variance)
    return tuple(map(float, mean)), tuple(map(float, variance))
