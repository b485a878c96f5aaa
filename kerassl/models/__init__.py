"""Models that are trained: SimCLR and the single-object localiser."""

from kerassl.models.localizer import Localizer
from kerassl.models.localizer_predictions import localizer_predictions
from kerassl.models.part_rates import layer_decay
from kerassl.models.projection import projection_head
from kerassl.models.simclr import SimCLR

__all__ = ["Localizer", "SimCLR", "layer_decay", "localizer_predictions", "projection_head"]
