"""Convolutions whose gradients take less time on a CPU than those that TensorFlow picks by itself."""

from __future__ import annotations

from kerassl._compat import keras, tf

# oneDNN has a fast kernel for the filter gradient of depthwise filters up to three columns wide, of any height; wider
# ones take five times as long. Two strips of three columns give the five.
_STRIP = 3


def _depthwise(x, kernel, strides, padding):
    return tf.raw_ops.DepthwiseConv2dNative(input=x, filter=kernel, strides=strides, padding=padding)


def _input_gradient(upstream, kernel, shape, strides, padding):
    if padding == "SAME" and strides[1] == 1:  # then it is a convolution itself, with the filter turned around
        return _depthwise(upstream, tf.reverse(kernel, [0, 1]), strides, padding)
    return tf.raw_ops.DepthwiseConv2dNativeBackpropInput(
        input_sizes=shape, filter=kernel, out_backprop=upstream, strides=strides, padding=padding
    )


def _filter_gradient(x, upstream, shape, strides, padding):
    height, width, channels, _ = shape
    shift = width - _STRIP  # of the second strip against the first, in columns of the input
    if padding == "SAME":  # pads one column on each side for a strip, two are needed
        x = tf.pad(x, [[0, 0], [0, 0], [shift // 2, shift // 2], [0, 0]])
    places = shift // strides[2]  # that a strip has more than the whole filter; the gradient is nought in those
    left, right = (
        tf.raw_ops.DepthwiseConv2dNativeBackpropFilter(
            input=x,
            filter_sizes=[height, _STRIP, channels, 1],
            out_backprop=tf.pad(upstream, [[0, 0], [0, 0], [first, places - first], [0, 0]]),
            strides=strides,
            padding=padding,
        )
        for first in (0, places)
    )
    return tf.concat([left[:, :shift], right], axis=1)


def _with_strips(x, kernel, strides, padding):
    @tf.custom_gradient
    def convolve(x, kernel):
        def gradient(upstream):
            return (
                _input_gradient(upstream, kernel, tf.shape(x), strides, padding),
                _filter_gradient(x, upstream, kernel.shape, strides, padding),
            )

        return _depthwise(x, kernel, strides, padding), gradient

    return convolve(x, kernel)


def _on_cpu(inputs):
    return inputs.dtype == tf.float32 and not tf.config.list_logical_devices("GPU")


@keras.saving.register_keras_serializable(package="kerassl")
class FastDepthwiseConv2D(keras.layers.DepthwiseConv2D):
    """Depthwise convolution with a five columns wide filter, whose gradients are quick on a CPU.

    Outside training, in other precisions than float32 and on a GPU it is Keras's own.

    Args:
        **kwargs: those of `keras.layers.DepthwiseConv2D`.
    """

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        if not (training and _on_cpu(inputs)):
            return super().call(inputs)
        strides = [1, *self.strides, 1]
        outputs = _with_strips(inputs, tf.convert_to_tensor(self.weights[0]), strides, self.padding.upper())
        if self.use_bias:
            outputs = tf.nn.bias_add(outputs, self.bias)
        return self.activation(outputs)


@keras.saving.register_keras_serializable(package="kerassl")
class FastPointwiseConv2D(keras.layers.Conv2D):
    """Convolution with a 1x1 filter as the matrix product that it is, whose filter gradient is quick on a CPU.

    Outside training, in other precisions than float32 and on a GPU it is Keras's own.

    Args:
        **kwargs: those of `keras.layers.Conv2D`.
    """

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        if not (training and _on_cpu(inputs)):
            return super().call(inputs)
        kernel = tf.reshape(self.kernel, self.kernel.shape[2:])
        rows = tf.reshape(inputs, [-1, kernel.shape[0]])  # [B H W, C]
        outputs = tf.matmul(rows, kernel)
        if self.use_bias:
            outputs = tf.nn.bias_add(outputs, self.bias)
        outputs = self.activation(outputs)
        shape = tf.shape(inputs)
        outputs = tf.reshape(outputs, [shape[0], shape[1], shape[2], self.filters])
        return tf.ensure_shape(outputs, [*inputs.shape[:-1], self.filters])


def is_wide_depthwise(layer: keras.layers.Layer) -> bool:
    if type(layer) is not keras.layers.DepthwiseConv2D:
        return False
    strides, (height, width) = layer.strides, layer.kernel_size
    # By padding "same" the strips are shifted, which needs stride 1; otherwise by whole strides.
    shiftable = tuple(strides) == (1, 1) if layer.padding == "same" else tuple(strides) in ((1, 1), (2, 2))
    return (
        width == 5
        and height % 2 == 1
        and shiftable
        and layer.depth_multiplier == 1
        and tuple(layer.dilation_rate) == (1, 1)
        and layer.data_format == "channels_last"
    )


def is_pointwise(layer: keras.layers.Layer) -> bool:
    return (
        type(layer) is keras.layers.Conv2D
        and tuple(layer.kernel_size) == (1, 1)
        and tuple(layer.strides) == (1, 1)
        and layer.groups == 1
        and layer.data_format == "channels_last"
    )
