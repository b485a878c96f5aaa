"""Runs from a configuration: configuration, run folder and stages."""

from typing import TYPE_CHECKING

from kerassl._lazy import lazy_package

if TYPE_CHECKING:
    from kerassl.runs.config import Config as Config
    from kerassl.runs.config import read_config as read_config
    from kerassl.runs.run_callbacks import Clock as Clock
    from kerassl.runs.run_callbacks import StopInTime as StopInTime

__all__ = lazy_package(__name__, light=["config"])
