"""Augmentation, drawn in the graph: two views of a batch with the geometry that made them; images with boxes."""

from kerassl.augment.box_augmentation import BoxAugmentation
from kerassl.augment.cells import CellMatches, cell_places, match_cells
from kerassl.augment.pictures import contact_sheet
from kerassl.augment.simclr_views import SimCLRViews
from kerassl.augment.views import Views

__all__ = ["BoxAugmentation", "CellMatches", "SimCLRViews", "Views", "cell_places", "contact_sheet", "match_cells"]
