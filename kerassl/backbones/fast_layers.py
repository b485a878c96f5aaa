"""Layers that compute what Keras's own compute, in fewer passes over memory."""

from __future__ import annotations

from kerassl import _compat
from kerassl._compat import keras, tf
from kerassl.backbones import fast_convolutions
from kerassl.backbones.shares import images_counted


def _compiled(function):
    # Element-wise functions alone: a whole network compiled for a CPU is ten times slower than not compiled.
    return tf.function(function, jit_compile=True)


@_compiled
def _swish_forward(x):
    return x * tf.sigmoid(x)


@_compiled
def _swish_backward(x, upstream):
    gate = tf.sigmoid(x)
    return upstream * gate * (1 + x * (1 - gate))


@tf.custom_gradient
def _fused_swish(x):
    return _swish_forward(x), lambda upstream: _swish_backward(x, upstream)


@keras.saving.register_keras_serializable(package="kerassl")
class FastSwish(keras.layers.Layer):
    """`x * sigmoid(x)`, whose forward and backward pass are one compiled kernel each while training.

    Outside training it is `tf.nn.silu`, so that graphs for prediction and serving hold no compiled function. In
    float64 it is that too: there exactness counts, not speed.
    """

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        return _fused_swish(inputs) if training and inputs.dtype != tf.float64 else tf.nn.silu(inputs)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape

    def get_config(self) -> dict:
        return super().get_config()  # Keras 3 cannot save a layer with a precision policy that lacks this method


@_compiled
def _hard_swish_forward(x):
    return x * tf.clip_by_value(x + 3, 0, 6) / 6


@_compiled
def _hard_swish_backward(x, upstream):
    slope = (2 * x + 3) / 6
    return upstream * tf.where(x >= 3, tf.ones_like(x), tf.where(x <= -3, tf.zeros_like(x), slope))


@tf.custom_gradient
def _fused_hard_swish(x):
    return _hard_swish_forward(x), lambda upstream: _hard_swish_backward(x, upstream)


@keras.saving.register_keras_serializable(package="kerassl")
class FastHardSwish(keras.layers.Multiply):
    """The product of `x` and its gate `relu6(x + 3) / 6`, computed from `x` by one compiled kernel while training.

    It replaces the product in `mobilenet_v3`. The layers of the gate are left in their places, for prediction;
    in a training graph nothing asks for what they give, and TensorFlow leaves them out.

    Call arguments:
        inputs: list of `x` and its gate, of one shape.
    """

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        return _fused_hard_swish(inputs[0]) if training and inputs[0].dtype != tf.float64 else super().call(inputs)


@keras.saving.register_keras_serializable(package="kerassl")
class FastBatchNormalization(keras.layers.BatchNormalization):
    """Batch normalization over the last axis: one fused kernel on one replica, synchronized on several.

    Replicas share mean and variance of the global batch, as if one of them had seen all of it. The moving variance is
    that of the batch itself (divided by `n`, not `n - 1`), in both forms.

    Args:
        **kwargs: those of `keras.layers.BatchNormalization`.
    """

    def call(self, inputs: tf.Tensor, training: bool | None = None, mask: tf.Tensor | None = None) -> tf.Tensor:
        dtype = tf.float64 if inputs.dtype == tf.float64 else tf.float32
        gamma, beta = tf.cast(self._scale(), dtype), tf.cast(self._offset(), dtype)
        fusable = inputs.shape.rank == 4 and inputs.dtype != tf.float64  # the kernel has no float64 form
        if not training or not self.trainable:
            mean, variance = tf.cast(self.moving_mean, dtype), tf.cast(self.moving_variance, dtype)
            if fusable:
                return self._fused(inputs, gamma, beta, mean, variance)[0]
            return self._normalize(inputs, gamma, beta, mean, variance)
        context = tf.distribute.get_replica_context()
        alone = context is None or context.num_replicas_in_sync == 1
        if fusable and alone:
            outputs, mean, variance = self._fused(inputs, gamma, beta)
            count = tf.cast(tf.size(inputs) / tf.shape(inputs)[-1], dtype)
            variance *= (count - 1) / count  # the kernel returns n / (n - 1) times the variance it used
        else:
            mean, variance = self._moments(tf.cast(inputs, dtype), None if alone else context)
            outputs = self._normalize(inputs, gamma, beta, mean, variance)
        self._move(self.moving_mean, mean)
        self._move(self.moving_variance, variance)
        return outputs

    def _scale(self):
        return self.gamma if self.scale else tf.ones_like(tf.convert_to_tensor(self.moving_mean))

    def _offset(self):
        return self.beta if self.center else tf.zeros_like(tf.convert_to_tensor(self.moving_mean))

    def _fused(self, inputs, gamma, beta, mean=None, variance=None):
        return tf.compat.v1.nn.fused_batch_norm(
            inputs, gamma, beta, mean, variance, epsilon=self.epsilon, is_training=mean is None
        )

    def _normalize(self, inputs, gamma, beta, mean, variance):
        factor = gamma * tf.math.rsqrt(variance + self.epsilon)
        return tf.cast(tf.cast(inputs, factor.dtype) * factor + (beta - mean * factor), inputs.dtype)

    def _moments(self, inputs, context):
        axes = list(range(inputs.shape.rank - 1))
        count = tf.cast(tf.size(inputs) / tf.shape(inputs)[-1], inputs.dtype)
        total, counted = tf.reduce_sum(inputs, axes), tf.cast(images_counted(), inputs.dtype)
        if context:
            count, total = counted * count, counted * total
            count, total = context.all_reduce(tf.distribute.ReduceOp.SUM, [count, total])
        mean = total / count
        # Around the global mean: the mean of squares less the square of the mean loses half the digits.
        squares = tf.reduce_sum(tf.math.squared_difference(inputs, mean), axes)
        if context:
            squares = context.all_reduce(tf.distribute.ReduceOp.SUM, counted * squares)
        return mean, squares / count

    def _move(self, moving, value):
        value = tf.cast(tf.stop_gradient(value), moving.dtype)
        moving.assign(moving * self.momentum + value * (1 - self.momentum))


_SHARED = (
    "name", "trainable", "dtype", "axis", "momentum", "epsilon", "center", "scale", "beta_initializer",
    "gamma_initializer", "moving_mean_initializer", "moving_variance_initializer", "beta_regularizer",
    "gamma_regularizer", "beta_constraint", "gamma_constraint",
)  # fmt: skip


def _is_swish(layer):
    return isinstance(layer, keras.layers.Activation) and layer.get_config()["activation"] in ("swish", "silu")


def _is_hard_swish(layer):
    return type(layer) is keras.layers.Multiply and layer.name.endswith("_hard_swish")


def _batch_norm_as(cls, layer):
    config = layer.get_config()
    return cls.from_config({key: config[key] for key in _SHARED})


def to_fast(layer: keras.layers.Layer) -> keras.layers.Layer:
    if _is_swish(layer):
        return FastSwish(name=layer.name, dtype=_compat.dtype_policy(layer))
    if type(layer) is keras.layers.BatchNormalization and layer.get_config()["axis"] in (-1, 3, [3], (3,)):
        return _batch_norm_as(FastBatchNormalization, layer)
    if _is_hard_swish(layer):
        return FastHardSwish.from_config(layer.get_config())
    if fast_convolutions.is_wide_depthwise(layer):
        return fast_convolutions.FastDepthwiseConv2D.from_config(layer.get_config())
    if fast_convolutions.is_pointwise(layer):
        return fast_convolutions.FastPointwiseConv2D.from_config(layer.get_config())
    return layer.__class__.from_config(layer.get_config())


def to_stock(layer: keras.layers.Layer) -> keras.layers.Layer:
    if isinstance(layer, FastSwish):
        return keras.layers.Activation("swish", name=layer.name, dtype=_compat.dtype_policy(layer))
    if isinstance(layer, FastBatchNormalization):
        return _batch_norm_as(keras.layers.BatchNormalization, layer)
    if isinstance(layer, FastHardSwish):
        return keras.layers.Multiply.from_config(layer.get_config())
    if isinstance(layer, fast_convolutions.FastDepthwiseConv2D):
        return keras.layers.DepthwiseConv2D.from_config(layer.get_config())
    if isinstance(layer, fast_convolutions.FastPointwiseConv2D):
        return keras.layers.Conv2D.from_config(layer.get_config())
    return layer.__class__.from_config(layer.get_config())


def _rebuilt(model, swap):
    clone = keras.models.clone_model(model, clone_function=swap)
    clone.set_weights(model.get_weights())
    clone.trainable = model.trainable
    return clone


def with_fast_layers(model: keras.Model) -> keras.Model:
    """Clone a flat functional model with the fast layers in place of Keras's own.

    Args:
        model: functional `keras.Model` without nested models.

    Returns:
        `keras.Model` of the same layer names, weights and outputs.
    """
    return _rebuilt(model, to_fast)


def with_keras_layers(model: keras.Model) -> keras.Model:
    """Clone a flat functional model with Keras's own layers in place of the fast ones.

    Args:
        model: functional `keras.Model` without nested models.

    Returns:
        `keras.Model` of the same layer names, weights and outputs, which needs no kerassl.
    """
    return _rebuilt(model, to_stock)
