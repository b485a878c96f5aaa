"""Layer-wise adaptive rate scaling."""

from __future__ import annotations

from typing import Any

from kerassl import _compat
from kerassl._compat import keras, tf
from kerassl._errors import UserError
from kerassl._numbers import ABOVE_0, FROM_0, SHARE_BELOW_1


@keras.saving.register_keras_serializable(package="kerassl")
class LARS(_compat.Optimizer):
    """Stochastic gradient descent with momentum and a learning rate for each layer, for large contrastive batches.

    Each weight matrix or kernel `w` with gradient `g` moves by

        d = g + weight_decay * w
        m = momentum * m + learning_rate * trust * |w| / |d| * d
        w = w - m

    Biases and the scales and offsets of normalization layers (all variables of rank 0 or 1) take plain momentum steps
    without decay: `trust * |w| / |d|` is 1 for them. They are selected by rank because names differ between networks.

    Args:
        learning_rate: float or `keras.optimizers.schedules.LearningRateSchedule`. SimCLR's own: `0.3 * batch / 256`,
            or `0.075 * sqrt(batch)` for batches under 1024 (`scaled_learning_rate`).
        momentum: float in [0, 1).
        trust: float > 0. The trust coefficient.
        weight_decay: float >= 0.
        name: str.

    Raises:
        UserError: if `momentum`, `trust` or `weight_decay` is out of range.

    Example:
        >>> schedule = kerassl.optimizers.WarmupCosine(peak=0.6, total_steps=1000, warmup_steps=100)
        >>> model.compile(kerassl.optimizers.LARS(schedule))

    Reference:
        You et al., "Large Batch Training of Convolutional Networks", 2017; exclusions as in Chen et al., 2020.
    """

    slot_names = ("momentum",)

    def __init__(
        self,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule = 0.3,
        momentum: float = 0.9,
        trust: float = 0.001,
        weight_decay: float = 1e-6,
        name: str = "LARS",
        **kwargs: Any,
    ) -> None:
        if not SHARE_BELOW_1.fits(momentum):
            raise UserError(f"LARS momentum is {momentum}; it must be in [0, 1), as 0.9")
        if not ABOVE_0.fits(trust) or not FROM_0.fits(weight_decay):
            raise UserError(f"LARS trust is {trust} and weight_decay {weight_decay}; trust must be > 0, decay >= 0")
        super().__init__(learning_rate, name, **kwargs)
        self.momentum = float(momentum)
        self.trust = float(trust)
        # Not `weight_decay`: Keras would then decay every variable by itself, norms and biases too.
        self.decay = float(weight_decay)

    def update(
        self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor, momentum: tf.Variable
    ) -> None:
        if variable.shape.rank > 1:
            gradient = gradient + self.decay * variable
            weight_norm, gradient_norm = tf.norm(variable), tf.norm(gradient)
            both = tf.logical_and(weight_norm > 0, gradient_norm > 0)
            ratio = self.trust * tf.math.divide_no_nan(weight_norm, gradient_norm)
            learning_rate = learning_rate * tf.where(both, ratio, tf.ones_like(ratio))
        momentum.assign(self.momentum * momentum + learning_rate * gradient)
        variable.assign_sub(momentum)

    def get_config(self) -> dict:
        config = super().get_config()
        # Keras's own entry of this name is its own decay, which stays off.
        config.update({"momentum": self.momentum, "trust": self.trust, "weight_decay": self.decay})
        return config
