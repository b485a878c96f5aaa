"""Augmentation, drawn in the graph: two views of a batch with the geometry that made them; images with boxes."""

from kerassl._lazy import lazy_package

__all__ = lazy_package(
    __name__,
    {
        "box_augmentation": ["BoxAugmentation"],
        "cells": ["CellMatches", "cell_places", "match_cells"],
        "pictures": ["contact_sheet"],
        "simclr_views": ["SimCLRViews"],
        "views": ["Views"],
    },
)
