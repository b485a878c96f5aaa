"""Augmentation: two random views of a batch, drawn in the graph, each with the geometry that made it."""

from kerassl.augment.simclr_views import SimCLRViews
from kerassl.augment.views import Views

__all__ = ["SimCLRViews", "Views"]
