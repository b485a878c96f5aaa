"""The projection head of contrastive pre-training, which is discarded afterwards."""

from __future__ import annotations

from kerassl._compat import keras
from kerassl.backbones import FastBatchNormalization


def projection_head(
    features: int, hidden_dim: int, projection_dim: int, name: str = "projection_head"
) -> keras.Sequential:
    """Build SimCLR's two-layer head: dense, batch normalization, ReLU, dense.

    Args:
        features: int. Length of the backbone's pooled features.
        hidden_dim: int. Length of the hidden layer.
        projection_dim: int. Length of the embeddings that are contrasted.
        name: str.

    Returns:
        `keras.Sequential` from `[B, features]` to `[B, projection_dim]`.
    """
    wide = keras.mixed_precision.global_policy().variable_dtype
    return keras.Sequential(
        [
            keras.Input((features,)),
            keras.layers.Dense(hidden_dim, use_bias=False, name="hidden"),
            FastBatchNormalization(momentum=0.9, name="hidden_bn"),
            keras.layers.ReLU(name="hidden_relu"),
            # Not in half precision, which the loss would raise again anyway.
            keras.layers.Dense(projection_dim, use_bias=False, dtype=wide, name="projection"),
        ],
        name=name,
    )
