"""Runs from a configuration: configuration, run folder and stages."""

from kerassl._lazy import lazy_package

__all__ = lazy_package(
    __name__,
    {
        "config": ["Config", "read_config"],
        "run_callbacks": ["Clock", "StopInTime"],
    },
    light=["config"],
)
