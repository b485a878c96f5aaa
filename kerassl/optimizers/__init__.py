"""Optimizers by name, LARS, learning-rate schedules and multipliers."""

from typing import TYPE_CHECKING

from kerassl._lazy import lazy_package

if TYPE_CHECKING:
    from kerassl.optimizers.lars import LARS as LARS
    from kerassl.optimizers.lr_multipliers import layer_decay as layer_decay
    from kerassl.optimizers.names import get as get
    from kerassl.optimizers.warmup_cosine import WarmupCosine as WarmupCosine
    from kerassl.optimizers.warmup_cosine import scaled_learning_rate as scaled_learning_rate

__all__ = lazy_package(__name__)
