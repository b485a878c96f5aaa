"""Contrastive losses."""

from kerassl.losses.info_nce import InfoNCE

__all__ = ["InfoNCE"]
