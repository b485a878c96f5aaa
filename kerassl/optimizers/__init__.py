"""SimCLR's optimiser and learning-rate schedule, and optimisers by name."""

from kerassl.optimizers.lars import LARS
from kerassl.optimizers.names import NAMES, check_name, for_labels, get
from kerassl.optimizers.warmup_cosine import WarmupCosine, scaled_learning_rate

__all__ = ["LARS", "NAMES", "WarmupCosine", "check_name", "for_labels", "get", "scaled_learning_rate"]
