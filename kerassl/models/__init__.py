"""Models that are trained: SimCLR, with dense contrast and by labels, and the single-object localiser."""

from kerassl.models.dense_simclr import DenseSimCLR
from kerassl.models.fit_frozen import fit_frozen
from kerassl.models.foreground import Foreground
from kerassl.models.frozen_features import FrozenFeatures
from kerassl.models.localizer import Localizer
from kerassl.models.localizer_predictions import localizer_predictions
from kerassl.models.part_rates import layer_decay
from kerassl.models.projection import projection_head
from kerassl.models.simclr import SimCLR
from kerassl.models.view_classifier import ViewClassifier

__all__ = [
    "DenseSimCLR",
    "Foreground",
    "FrozenFeatures",
    "Localizer",
    "SimCLR",
    "ViewClassifier",
    "fit_frozen",
    "layer_decay",
    "localizer_predictions",
    "projection_head",
]
