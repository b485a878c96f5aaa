"""Contrastive losses."""

from typing import TYPE_CHECKING

from kerassl._lazy import lazy_package

if TYPE_CHECKING:
    from kerassl.losses.dense_info_nce import dense_info_nce as dense_info_nce
    from kerassl.losses.info_nce import InfoNCE as InfoNCE

__all__ = lazy_package(__name__)
