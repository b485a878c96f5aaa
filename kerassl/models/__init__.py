"""Models that are trained: SimCLR, with dense contrast and by labels, and the single-object localiser."""

from kerassl._lazy import lazy_package

__all__ = lazy_package(
    __name__,
    {
        "dense_simclr": ["DenseSimCLR"],
        "fit_frozen": ["fit_frozen"],
        "foreground": ["Foreground"],
        "frozen_features": ["FrozenFeatures"],
        "localizer": ["Localizer"],
        "localizer_predictions": ["localizer_predictions"],
        "part_rates": ["layer_decay"],
        "projection": ["projection_head"],
        "simclr": ["SimCLR"],
        "view_classifier": ["ViewClassifier"],
    },
)
