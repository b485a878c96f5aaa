"""Backbones: `keras.applications` networks by name, with fast layers, a checked pyramid and strict files."""

from kerassl._lazy import lazy_package

__all__ = lazy_package(
    __name__,
    {
        "families": ["FAMILIES"],
        "architectures": ["build"],
        "batch_norm": ["freeze_batch_norm", "reestimate_batch_norm"],
        "fast_convolutions": ["FastDepthwiseConv2D", "FastPointwiseConv2D"],
        "fast_layers": ["FastBatchNormalization", "FastHardSwish", "FastSwish", "fast", "stock"],
        "files": ["load", "save"],
        "parts": ["PARTS", "STAGES", "parts", "stages"],
        "pyramid": ["pyramid"],
        "weights": ["assign", "checksum", "table"],
    },
    light=["families", "parts", "pyramid", "weights"],
)
