"""Augmentation in the graph: SimCLR views with the geometry behind them, and images with boxes."""

from kerassl._lazy import lazy_package

__all__ = lazy_package(
    __name__,
    {
        "box_augmentation": ["BoxAugmentation"],
        "locations": ["CellMatches", "cell_places", "match_cells"],
        "plot_views": ["contact_sheet"],
        "simclr_views": ["SimCLRViews"],
        "views": ["Views"],
    },
)
