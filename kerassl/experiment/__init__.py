"""Whole runs from a configuration: pre-train, fine-tune arms, score, explain, export, report."""

from kerassl._lazy import lazy_package

__all__ = lazy_package(
    __name__,
    {
        "config": ["Config", "read_config"],
        "run_callbacks": ["Clock", "StopInTime"],
    },
    light=["config"],
)
