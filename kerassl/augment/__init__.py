"""Augmentation in the graph: SimCLR views with the geometry behind them, and images with boxes."""

from typing import TYPE_CHECKING

from kerassl._lazy import lazy_package

if TYPE_CHECKING:
    from kerassl.augment.box_augmentation import BoxAugmentation as BoxAugmentation
    from kerassl.augment.locations import CellMatches as CellMatches
    from kerassl.augment.locations import cell_places as cell_places
    from kerassl.augment.locations import match_cells as match_cells
    from kerassl.augment.plot_views import contact_sheet as contact_sheet
    from kerassl.augment.simclr_views import SimCLRViews as SimCLRViews
    from kerassl.augment.views import Views as Views

__all__ = lazy_package(__name__)
