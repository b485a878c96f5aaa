"""Contrastive losses."""

from kerassl.losses.dense_info_nce import dense_info_nce
from kerassl.losses.info_nce import InfoNCE

__all__ = ["InfoNCE", "dense_info_nce"]
