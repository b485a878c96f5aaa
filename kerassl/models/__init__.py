"""Self-supervised models: SimCLR, dense contrast, and a classifier of views as their baseline."""

from kerassl._lazy import lazy_package

__all__ = lazy_package(
    __name__,
    {
        "dense_simclr": ["DenseSimCLR"],
        "projection": ["projection_head"],
        "simclr": ["SimCLR"],
        "view_classifier": ["ViewClassifier"],
    },
)
