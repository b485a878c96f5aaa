"""Configurations: the schema with its descriptions, reading and checking."""

from typing import TYPE_CHECKING

from kerassl._lazy import lazy_package

if TYPE_CHECKING:
    from kerassl.config.config import Config as Config
    from kerassl.config.config import read_config as read_config

__all__ = lazy_package(__name__)
