"""Contrastive losses."""

from kerassl._lazy import lazy_package

__all__ = lazy_package(
    __name__,
    {
        "dense_info_nce": ["dense_info_nce"],
        "info_nce": ["InfoNCE"],
    },
)
