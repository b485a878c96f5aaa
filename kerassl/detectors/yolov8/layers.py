"""YOLOV8's neck and heads over P3 to P5: KerasCV's, layer by layer, with kerassl's fast and synchronized layers.

In KerasCV's own functions each replica computes batch normalization for itself.
"""

from __future__ import annotations

from collections.abc import Sequence

from kerassl._compat import keras, tf
from kerassl.backbones.fast_layers import to_fast

# Keras's default of 0.99 lags hundreds of steps behind the weights, the length of a small fine-tuning.
_MOMENTUM = 0.9


def convolution(x: tf.Tensor, channels: int, name: str, size: int = 1, strides: int = 1) -> tf.Tensor:
    """Apply a convolution with batch normalization and swish."""
    padding = "same"
    if strides > 1:  # the same on every side; Keras pads right and below
        x = keras.layers.ZeroPadding2D(size // 2, name=f"{name}_pad")(x)
        padding = "valid"
    layers = (
        keras.layers.Conv2D(channels, size, strides, padding, use_bias=False, name=f"{name}_conv"),
        keras.layers.BatchNormalization(momentum=_MOMENTUM, epsilon=1e-3, name=f"{name}_bn"),
        keras.layers.Activation("swish", name=name),
    )
    for layer in layers:
        x = to_fast(layer)(x)
    return x


def stage(x: tf.Tensor, channels: int, depth: int, name: str) -> tf.Tensor:
    """Apply a cross-stage partial block: half the channels pass, half go through `depth` pairs of convolutions."""
    half = channels // 2
    parts = [convolution(x, half, f"{name}_{part}") for part in ("short", "deep")]
    for number in range(depth):
        deep = convolution(parts[-1], half, f"{name}_{number}_1", 3)
        parts.append(convolution(deep, half, f"{name}_{number}_2", 3))
    joined = keras.layers.Concatenate(name=f"{name}_joined")(parts)
    return convolution(joined, channels, f"{name}_output")


def neck(features: Sequence[tf.Tensor], depth: int) -> list[tf.Tensor]:
    """Join the levels of a pyramid from the top down, then from the bottom up (PANet).

    Args:
        features: list of the feature maps P3, P4 and P5, of any channels.
        depth: int, pairs of convolutions in each block.

    Returns:
        List of three feature maps of the same shapes.

    References:
        Liu et al., "Path Aggregation Network for Instance Segmentation", 2018.
    """
    channels = [feature.shape[-1] for feature in features]
    joined = list(features)
    for level in (1, 0):
        above = keras.layers.UpSampling2D(2, name=f"neck_enlarged_p{level + 4}")(joined[level + 1])
        x = keras.layers.Concatenate(name=f"neck_p{level + 3}_down_inputs")([above, joined[level]])
        joined[level] = stage(x, channels[level], depth, f"neck_p{level + 3}_down")
    for level in (1, 2):
        below = convolution(joined[level - 1], channels[level - 1], f"neck_shrunk_p{level + 2}", 3, strides=2)
        x = keras.layers.Concatenate(name=f"neck_p{level + 3}_up_inputs")([below, joined[level]])
        joined[level] = stage(x, channels[level], depth, f"neck_p{level + 3}_up")
    return joined


def heads(features: Sequence[tf.Tensor], sizes: dict[str, int], starts: dict[str, list]) -> dict[str, tf.Tensor]:
    """Predict the box and the class of the object at each location.

    Args:
        features: list of the feature maps P3, P4 and P5.
        sizes: dict `{"box": int, "classification": int}`, numbers a box and a class.
        starts: dict of lists, the outputs of the three levels before training: floats, or lists of as many numbers.

    Returns:
        Dict `{"box": [B, A, sizes["box"]], "classification": [B, A, sizes["classification"]]}`, not in half precision;
        the locations of P3 come first, row by row.
    """
    # KerasCV's widths: a level's maps are no wider than those of P3.
    p3 = features[0].shape[-1]
    widths = {"box": max(64, p3 // 4), "classification": max(sizes["classification"], p3)}
    outputs, wide = {}, keras.mixed_precision.global_policy().variable_dtype
    for kind, width in widths.items():
        levels = []
        for level, (feature, start) in enumerate(zip(features, starts[kind]), start=3):
            x = convolution(feature, width, f"{kind}_head_p{level}_1", 3)
            x = convolution(x, width, f"{kind}_head_p{level}_2", 3)
            bias, name = keras.initializers.Constant(start), f"{kind}_head_p{level}_3"
            x = to_fast(keras.layers.Conv2D(sizes[kind], 1, bias_initializer=bias, name=name))(x)
            levels.append(keras.layers.Reshape((-1, sizes[kind]), name=f"{kind}_p{level}")(x))
        outputs[kind] = keras.layers.Concatenate(axis=1, name=kind, dtype=wide)(levels)
    return outputs
