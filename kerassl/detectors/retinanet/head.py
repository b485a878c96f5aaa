"""RetinaNet's heads, with group normalisation."""

import keras


@keras.saving.register_keras_serializable(package="kerassl")
class RetinaNetHead(keras.layers.Layer):
    """What every anchor of a cell says, by one stack of convolutions for all levels.

    That of the paper and of KerasCV has no normalisation and counts on a backbone that has seen ImageNet. Here most
    begin elsewhere. Group normalisation knows no batch: replicas and batches of one are alike.

    Args:
        outputs: int, how many numbers a cell says.
        start: float, what they are before training.
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

    def __init__(self, outputs, start=0.0, num_filters=256, depth=3, **kwargs):
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

    def build(self, input_shape):
        channels = input_shape[-1]
        for convolution, norm in zip(self.convolutions, self.norms):
            convolution.build((None, None, None, channels))
            norm.build((None, None, None, self.num_filters))
            channels = self.num_filters
        self.prediction_layer.build((None, None, None, channels))
        self.built = True

    def call(self, maps):
        for convolution, norm in zip(self.convolutions, self.norms):
            maps = keras.activations.relu(norm(convolution(maps)))
        return self.prediction_layer(maps)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.outputs)

    def get_config(self):
        own = {"outputs": self.outputs, "start": self.start, "num_filters": self.num_filters, "depth": self.depth}
        return {**super().get_config(), **own}
