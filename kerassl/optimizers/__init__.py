"""SimCLR's optimiser and learning-rate schedule, and optimisers by name."""

from kerassl._lazy import lazy_package

__all__ = lazy_package(
    __name__,
    {
        "lars": ["LARS"],
        "names": ["NAMES", "check_name", "for_labels", "get"],
        "warmup_cosine": ["WarmupCosine", "scaled_learning_rate"],
    },
    light=["names"],
)
