"""Backbones: `keras.applications` networks by name, with fast layers, a checked pyramid and strict files."""

from kerassl.backbones.architectures import FAMILIES, build
from kerassl.backbones.fast_layers import FastBatchNormalization, FastSwish, fast, stock
from kerassl.backbones.files import load, save
from kerassl.backbones.pyramid import pyramid
from kerassl.backbones.weights import assign, checksum, table
from kerassl.datasets.images import check_image_size

__all__ = [
    "FAMILIES",
    "FastBatchNormalization",
    "FastSwish",
    "assign",
    "build",
    "check_image_size",
    "checksum",
    "fast",
    "load",
    "pyramid",
    "save",
    "stock",
    "table",
]
