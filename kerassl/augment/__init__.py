"""Augmentation in the graph: SimCLR views with the geometry behind them, and images with boxes."""

from typing import TYPE_CHECKING

from kerassl._lazy import lazy_package

if TYPE_CHECKING:
    from kerassl.augment.box_augmentation import BoxAugmentation as BoxAugmentation
    from kerassl.augment.locations import LocationMatches as LocationMatches
    from kerassl.augment.locations import location_centers as location_centers
    from kerassl.augment.locations import match_locations as match_locations
    from kerassl.augment.plot_views import plot_views as plot_views
    from kerassl.augment.simclr_views import SimCLRViews as SimCLRViews
    from kerassl.augment.views import Views as Views

__all__ = lazy_package(__name__)
