"""RetinaNet's heads, with group normalization."""

from __future__ import annotations

from kerassl._compat import keras, tf


@keras.saving.register_keras_serializable(package="kerassl")
class RetinaNetHead(keras.layers.Layer):
    """Predict numbers for every anchor of a location, by one stack of convolutions for all levels.

    The heads of the paper and of KerasCV have no normalization and rely on a backbone trained on ImageNet. Group
    normalization, which is independent of the batch, trains on other backbones too.

    Args:
        outputs: int, numbers a location.
        start: float, their value before training.
        num_filters: int, channels of the convolutions, a multiple of 32.
        depth: int, convolutions before the last one.
        **kwargs: those of `keras.layers.Layer`.

    Call arguments:
        maps: `[B, H, W, channels]` float.

    Returns:
        `[B, H, W, outputs]` float.

    References:
        Lin et al., "Focal Loss for Dense Object Detection", 2017; He et al., "Rethinking ImageNet Pre-training", 2018.
    """

    def __init__(self, outputs: int, start: float = 0.0, num_filters: int = 256, depth: int = 3, **kwargs) -> None:
        super().__init__(**kwargs)
        self.outputs = int(outputs)
        self.start = float(start)
        self.num_filters = int(num_filters)
        self.depth = int(depth)
        self.convolutions = [
            keras.layers.Conv2D(num_filters, 3, padding="same", use_bias=False, kernel_initializer="he_normal")
            for _ in range(depth)
        ]
        self.norms = [keras.layers.GroupNormalization(groups=32) for _ in range(depth)]
        self.prediction_layer = keras.layers.Conv2D(
            outputs,
            3,
            padding="same",
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
            bias_initializer=keras.initializers.Constant(start),
        )

    def build(self, input_shape: tuple) -> None:
        channels = input_shape[-1]
        for convolution, norm in zip(self.convolutions, self.norms):
            convolution.build((None, None, None, channels))
            norm.build((None, None, None, self.num_filters))
            channels = self.num_filters
        self.prediction_layer.build((None, None, None, channels))
        self.built = True

    def call(self, maps: tf.Tensor) -> tf.Tensor:
        for convolution, norm in zip(self.convolutions, self.norms):
            maps = keras.activations.relu(norm(convolution(maps)))
        return self.prediction_layer(maps)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return (*input_shape[:-1], self.outputs)

    def get_config(self) -> dict:
        own = {"outputs": self.outputs, "start": self.start, "num_filters": self.num_filters, "depth": self.depth}
        return {**super().get_config(), **own}
