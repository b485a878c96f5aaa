"""Backbones: `keras.applications` networks by name, with fast layers, a checked pyramid and strict files."""

from kerassl.backbones.architectures import FAMILIES, build
from kerassl.backbones.batch_norm import freeze_batch_norm, reestimate_batch_norm
from kerassl.backbones.fast_convolutions import FastDepthwiseConv2D, FastPointwiseConv2D
from kerassl.backbones.fast_layers import FastBatchNormalization, FastHardSwish, FastSwish, fast, stock
from kerassl.backbones.files import load, save
from kerassl.backbones.parts import PARTS, STAGES, parts, stages
from kerassl.backbones.pyramid import pyramid
from kerassl.backbones.weights import assign, checksum, table
from kerassl.datasets.images import check_image_size

__all__ = [
    "FAMILIES",
    "PARTS",
    "STAGES",
    "FastBatchNormalization",
    "FastDepthwiseConv2D",
    "FastHardSwish",
    "FastPointwiseConv2D",
    "FastSwish",
    "assign",
    "build",
    "check_image_size",
    "checksum",
    "fast",
    "freeze_batch_norm",
    "load",
    "parts",
    "pyramid",
    "reestimate_batch_norm",
    "save",
    "stages",
    "stock",
    "table",
]
