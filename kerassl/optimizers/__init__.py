"""SimCLR's optimiser and learning-rate schedule."""

from kerassl.optimizers.lars import LARS
from kerassl.optimizers.warmup_cosine import WarmupCosine, scaled_learning_rate

__all__ = ["LARS", "WarmupCosine", "scaled_learning_rate"]
