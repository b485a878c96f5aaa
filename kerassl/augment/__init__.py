"""Augmentation: two random views of a batch, drawn in the graph, each with the geometry that made it."""

from kerassl.augment.cells import CellMatches, match_cells
from kerassl.augment.pictures import contact_sheet
from kerassl.augment.simclr_views import SimCLRViews
from kerassl.augment.views import Views

__all__ = ["CellMatches", "SimCLRViews", "Views", "contact_sheet", "match_cells"]
