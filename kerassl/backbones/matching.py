"""Weights of foreign files, matched to the layers of a network of `keras.applications`."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable

import numpy as np

from kerassl import _compat
from kerassl._compat import keras
from kerassl.backbones import fast_layers
from kerassl.backbones.weights import snake_case

STRUCTURE = "layers/"
"""How the names of layers begin in files that know a layer by its class and its number alone."""

TOP = (
    "predictions", "conv_preds", "conv_2", "logits", "fc1", "fc2", "fc1000", "probs",
)  # fmt: skip
"""Layers behind the last feature map, as the published files name them."""


@dataclasses.dataclass(frozen=True)
class Target:
    """A layer with weights.

    Attributes:
        name: str, as kerassl names it.
        path: str, where a file that knows no names has it, as `"layers/conv2d_3"`.
        fast: str, the same where the network has the fast layers.
        weights: dict from the name of a weight to its shape, in Keras's order.
    """

    name: str
    path: str
    fast: str
    weights: dict[str, tuple]


def lasting_names(layers: Iterable) -> dict[str, str]:
    """Names of layers that neither process nor Keras version changes, by those that Keras gave."""
    counts: dict[str, int] = {}
    names = {}
    for layer in layers:
        kind = snake_case(type(layer).__name__)
        names[layer.name] = layer.name.replace("/", "_")
        if re.fullmatch(rf"{kind}(_\d+)?", layer.name) and kind != "input_layer":
            names[layer.name] = _numbered(kind, counts)
    return names


def _numbered(kind, counts):
    number = counts[kind] = counts.get(kind, -1) + 1
    return f"{kind}_{number}" if number else kind


def leaves(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers of a model, those of a model in it in its place."""
    return [leaf for layer in model.layers for leaf in (leaves(layer) if isinstance(layer, keras.Model) else [layer])]


def targets(model: keras.Model, names: dict[str, str]) -> list[Target]:
    """The layers with weights of a network, but for its input normalization.

    Args:
        model: `keras.Model`, as Keras has it.
        names: see `lasting_names`.
    """
    return list(_targets(model, names, "", ""))


def _targets(model, names, before, before_fast):
    counts: dict[str, int] = {}
    fast_counts: dict[str, int] = {}
    for layer in model.layers:
        path = f"{before}{STRUCTURE}{_numbered(snake_case(type(layer).__name__), counts)}"
        swapped = layer if isinstance(layer, keras.Model) else fast_layers.to_fast(layer)
        fast = f"{before_fast}{STRUCTURE}{_numbered(snake_case(type(swapped).__name__), fast_counts)}"
        if isinstance(layer, keras.Model):
            yield from _targets(layer, names, f"{path}/", f"{fast}/")
        elif layer.weights and not isinstance(layer, keras.layers.Normalization):
            yield Target(names[layer.name], path, fast, _weights(layer))


def _weights(layer):
    """Names and shapes of a layer's weights; those of ConvNeXt's own layers as `architectures` replaces them."""
    weights = {_compat.variable_name(layer, each): tuple(each.shape) for each in layer.weights}
    if type(layer).__name__ == "LayerScale":
        return {"kernel": weights.popitem()[1]}
    if getattr(layer, "groups", 1) > 1:
        height, width, _, channels = weights.pop("kernel")
        return {"depthwise_kernel": (height, width, channels, 1), **weights}
    return weights


def match(
    arrays: dict[str, np.ndarray], layers: list[Target], canonical: Callable[[str], str]
) -> tuple[dict[str, np.ndarray], set[str]]:
    """Name the weights of a file as those of the network are.

    Layers are found by name; where the file numbers them by class, by the number; where it has other names, in order,
    if all shapes fit, as Keras itself does. Weights within a layer are found by name, or else in order.

    Args:
        arrays: dict from `"<layer>/<weight>"` to array, in the order of the file.
        layers: those of the whole network.
        canonical: function of the name of a layer in a file to the one that kerassl gives it.

    Returns:
        Such a dict, in which what nothing was found for has its own name, and the names of layers behind the network.
    """
    found: dict[str, dict] = {}
    for key, array in arrays.items():
        layer, _, weight = key.rpartition("/")
        found.setdefault(layer, {})[weight] = array
    if any(name.startswith(STRUCTURE) for name in found):
        fast = any("/fast_" in name for name in found)
        paths = {layer.fast if fast else layer.path: layer.name for layer in layers}
        found = {paths.get(name, _input_scale(name)): weights for name, weights in found.items()}
    else:
        found = {canonical(name): weights for name, weights in found.items()}
        found = _in_order(found, layers)
    named = {layer.name: layer for layer in layers}
    table: dict[str, np.ndarray] = {}
    for name, weights in found.items():
        labels = list(named[name].weights if name in named else weights)
        if name.startswith("normalization"):
            labels = ["mean", "variance", "count"]
        if set(labels) == set(weights) or len(labels) != len(weights):
            labels = list(weights)
        for label, array in zip(labels, weights.values()):
            wanted = named[name].weights.get(label) if name in named else None
            table[f"{name}/{label}"] = array if wanted is None else _turned(array, wanted)
    return table, _top(found, named)


def _turned(array, shape):
    """The kernel of a depthwise convolution: [h, w, 1, C] in one layer of Keras, [h, w, C, 1] in another."""
    return np.reshape(array, shape) if 1 in shape[-2:] and np.shape(array)[-2:] == shape[-2:][::-1] else array


def _input_scale(name):
    return name.removeprefix(STRUCTURE) if name.startswith(f"{STRUCTURE}normalization") else name


def _in_order(found, layers):
    """Rename layers by their order, if the file lacks one by name and all fit in order."""
    if all(layer.name in found for layer in layers):
        return found
    order = [name for name in found if not re.fullmatch(r"normalization(_\d+)?", name)]
    if len(order) < len(layers):
        return found
    for name, layer in zip(order, layers):
        if [array.size for array in found[name].values()] != [int(np.prod(each)) for each in layer.weights.values()]:
            return found
    renamed = dict(zip(order, (layer.name for layer in layers)))
    return {renamed.get(name, name): weights for name, weights in found.items()}


def _top(found, named):
    """Names of layers in a file that are a classifier: dense, or 1x1 convolutions, behind all of the network's."""
    order = list(found)
    last = max((place for place, name in enumerate(order) if name in named), default=-1)
    top = set(TOP)
    for place, name in enumerate(order):
        first = np.shape(next(iter(found[name].values())))
        dense = len(first) == 2 or (len(first) == 4 and first[:2] == (1, 1))
        if name not in named and dense and (place > last or name.startswith(STRUCTURE)):
            top.add(name)
    return top
