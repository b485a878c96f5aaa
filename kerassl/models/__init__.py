"""Models that are trained: SimCLR and the single-object localiser."""

import importlib

from kerassl.models.projection import projection_head
from kerassl.models.simclr import SimCLR

__all__ = ["Localizer", "SimCLR", "projection_head"]


def __getattr__(name):
    if name == "Localizer":
        return importlib.import_module("kerassl.models.localizer").Localizer
    raise AttributeError(f"module 'kerassl.models' has no attribute {name!r}")
