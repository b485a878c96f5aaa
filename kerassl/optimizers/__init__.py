"""Optimizers by name, LARS, learning-rate schedules and multipliers."""

from kerassl._lazy import lazy_package

__all__ = lazy_package(
    __name__,
    {
        "lars": ["LARS"],
        "names": ["NAMES", "check_name", "for_labels", "get"],
        "part_rates": ["layer_decay"],
        "warmup_cosine": ["WarmupCosine", "scaled_learning_rate"],
    },
    light=["names"],
)
