"""Backbones: `keras.applications` networks by name, with fast layers, a checked pyramid and strict files."""

from typing import TYPE_CHECKING

from kerassl._lazy import lazy_package

if TYPE_CHECKING:
    from kerassl.backbones.architectures import build as build
    from kerassl.backbones.batch_norm import freeze_batch_norm as freeze_batch_norm
    from kerassl.backbones.batch_norm import reestimate_batch_norm as reestimate_batch_norm
    from kerassl.backbones.families import list_backbones as list_backbones
    from kerassl.backbones.fast_convolutions import FastDepthwiseConv2D as FastDepthwiseConv2D
    from kerassl.backbones.fast_convolutions import FastPointwiseConv2D as FastPointwiseConv2D
    from kerassl.backbones.fast_layers import FastBatchNormalization as FastBatchNormalization
    from kerassl.backbones.fast_layers import FastHardSwish as FastHardSwish
    from kerassl.backbones.fast_layers import FastSwish as FastSwish
    from kerassl.backbones.fast_layers import with_fast_layers as with_fast_layers
    from kerassl.backbones.fast_layers import with_keras_layers as with_keras_layers
    from kerassl.backbones.files import load as load
    from kerassl.backbones.files import save as save
    from kerassl.backbones.parts import parts as parts
    from kerassl.backbones.parts import stages as stages
    from kerassl.backbones.pyramid import pyramid as pyramid

__all__ = lazy_package(__name__)
