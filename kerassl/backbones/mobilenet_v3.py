"""MobileNetV3 of `keras.applications`, of layers that both Keras versions have and under names that both give.

Keras's own cannot be taken as they are: Keras 2.15 writes slashes into their names (`Conv/BatchNorm`) where Keras 3
writes `conv_bn`, and hard swish is a layer in one, four unnamed operations in the other, numbered through the process.
"""

from __future__ import annotations

from kerassl._compat import keras

_SMALL = (  # expansion, filters, kernel size, stride, squeeze-excite, hard swish
    (1, 16, 3, 2, True, False), (72 / 16, 24, 3, 2, False, False), (88 / 24, 24, 3, 1, False, False),
    (4, 40, 5, 2, True, True), (6, 40, 5, 1, True, True), (6, 40, 5, 1, True, True), (3, 48, 5, 1, True, True),
    (3, 48, 5, 1, True, True), (6, 96, 5, 2, True, True), (6, 96, 5, 1, True, True), (6, 96, 5, 1, True, True),
)  # fmt: skip
_LARGE = (
    (1, 16, 3, 1, False, False), (4, 24, 3, 2, False, False), (3, 24, 3, 1, False, False), (3, 40, 5, 2, True, False),
    (3, 40, 5, 1, True, False), (3, 40, 5, 1, True, False), (6, 80, 3, 2, False, True), (2.5, 80, 3, 1, False, True),
    (2.3, 80, 3, 1, False, True), (2.3, 80, 3, 1, False, True), (6, 112, 3, 1, True, True),
    (6, 112, 3, 1, True, True), (6, 160, 5, 2, True, True), (6, 160, 5, 1, True, True), (6, 160, 5, 1, True, True),
)  # fmt: skip


def network(family: str) -> keras.Model:
    """The network of a family, `"MobileNetV3Small"` or `"MobileNetV3Large"`, of images in [0, 255]."""
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1, name="rescaling")(inputs)
    x = keras.layers.Conv2D(16, 3, strides=2, padding="same", use_bias=False, name="conv")(x)
    x = _hard_swish(_batch_norm(x, "conv_bn"), "conv")
    for number, block in enumerate(_SMALL if family == "MobileNetV3Small" else _LARGE):
        x = _inverted_residual(x, f"expanded_conv_{number}" if number else "expanded_conv", *block)
    x = keras.layers.Conv2D(_rounded(x.shape[-1] * 6), 1, use_bias=False, padding="same", name="conv_1")(x)
    x = _hard_swish(_batch_norm(x, "conv_1_bn"), "conv_1")
    return keras.Model(inputs, x)


def canonical(layer: str) -> str:
    """The name that a layer has here for the one that it has in Keras 2.15 and in the published files."""
    return layer.replace("/BatchNorm", "_bn").replace("AvgPool", "avg_pool").replace("/", "_").lower()


def _rounded(channels):
    """The nearest multiple of 8 that is not more than a tenth smaller."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def _batch_norm(x, name):
    return keras.layers.BatchNormalization(epsilon=1e-3, momentum=0.999, name=name)(x)


def _hard_sigmoid(x, name):
    x = keras.layers.Rescaling(1.0, offset=3.0, name=f"{name}_shift")(x)
    return keras.layers.Rescaling(1 / 6, name=f"{name}_gate")(keras.layers.ReLU(6.0, name=f"{name}_clip")(x))


def _hard_swish(x, name):
    return keras.layers.Multiply(name=f"{name}_hard_swish")([x, _hard_sigmoid(x, name)])


def _inverted_residual(x, name, expansion, filters, size, stride, squeeze_excite, hard_swish):
    def activation(x, part):
        return _hard_swish(x, part) if hard_swish else keras.layers.ReLU(name=f"{part}_relu")(x)

    shortcut, channels = x, x.shape[-1]
    wide = _rounded(channels * expansion)
    if name != "expanded_conv":
        x = keras.layers.Conv2D(wide, 1, padding="same", use_bias=False, name=f"{name}_expand")(x)
        x = activation(_batch_norm(x, f"{name}_expand_bn"), f"{name}_expand")
    if stride == 2:
        padding = (size // 2 - 1, size // 2)
        x = keras.layers.ZeroPadding2D((padding, padding), name=f"{name}_depthwise_pad")(x)
    x = keras.layers.DepthwiseConv2D(
        size, stride, "same" if stride == 1 else "valid", use_bias=False, name=f"{name}_depthwise"
    )(x)
    x = activation(_batch_norm(x, f"{name}_depthwise_bn"), f"{name}_depthwise")
    if squeeze_excite:
        x = _squeeze_excite(x, wide, f"{name}_squeeze_excite")
    x = keras.layers.Conv2D(filters, 1, padding="same", use_bias=False, name=f"{name}_project")(x)
    x = _batch_norm(x, f"{name}_project_bn")
    if stride == 1 and channels == filters:
        x = keras.layers.Add(name=f"{name}_add")([shortcut, x])
    return x


def _squeeze_excite(x, channels, name):
    gate = keras.layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_avg_pool")(x)  # [B, 1, 1, C]
    gate = keras.layers.Conv2D(_rounded(channels * 0.25), 1, padding="same", name=f"{name}_conv")(gate)
    gate = keras.layers.ReLU(name=f"{name}_relu")(gate)
    gate = keras.layers.Conv2D(channels, 1, padding="same", name=f"{name}_conv_1")(gate)
    return keras.layers.Multiply(name=f"{name}_mul")([x, _hard_sigmoid(gate, name)])
