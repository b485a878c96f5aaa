"""The learning-rate schedule of contrastive pre-training."""

from __future__ import annotations

import math

from kerassl._compat import keras, tf
from kerassl._errors import UserError


def scaled_learning_rate(batch_size: int, rule: str = "sqrt") -> float:
    """Compute SimCLR's learning rate for LARS from the batch size.

    Args:
        batch_size: int > 0. The global batch, in images.
        rule: `"sqrt"` for `0.075 * sqrt(batch_size)`, better under 1024 images, or `"linear"` for
            `0.3 * batch_size / 256`.

    Returns:
        float.

    Raises:
        UserError: if `rule` is neither.

    Reference:
        Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations", 2020, appendix B.1.
    """
    if rule == "sqrt":
        return 0.075 * math.sqrt(batch_size)
    if rule == "linear":
        return 0.3 * batch_size / 256
    raise UserError(f"learning-rate rule {rule!r} is not known; use 'sqrt' or 'linear'")


@keras.saving.register_keras_serializable(package="kerassl")
class WarmupCosine(keras.optimizers.schedules.LearningRateSchedule):
    """Learning-rate schedule: linear warm-up from 0 to `peak`, then half a cosine down to `final`.

    Args:
        peak: float. The highest learning rate.
        total_steps: int. Steps of the whole run, warm-up among them; the rate stays at `final` after it.
        warmup_steps: int >= 0, under `total_steps`. A tenth of the run is usual.
        final: float. The last learning rate.
        name: str.

    Raises:
        UserError: if `warmup_steps` is not in `[0, total_steps)`.

    Example:
        >>> schedule = kerassl.optimizers.WarmupCosine(peak=1.0, total_steps=100, warmup_steps=10)
        >>> [round(float(schedule(step)), 2) for step in (0, 5, 10, 55, 100)]
        [0.0, 0.5, 1.0, 0.5, 0.0]
    """

    def __init__(
        self, peak: float, total_steps: int, warmup_steps: int = 0, final: float = 0.0, name: str = "WarmupCosine"
    ) -> None:
        super().__init__()
        if not 0 <= warmup_steps < total_steps:
            raise UserError(
                f"warmup_steps is {warmup_steps} of {total_steps} total_steps; it must be at least 0 and fewer than all"
            )
        self.peak = float(peak)
        self.total_steps = int(total_steps)
        self.warmup_steps = int(warmup_steps)
        self.final = float(final)
        self.name = name

    def __call__(self, step: int | tf.Tensor) -> tf.Tensor:
        step = tf.cast(step, tf.float32)
        rising = self.peak * step / max(self.warmup_steps, 1)
        share = tf.clip_by_value((step - self.warmup_steps) / (self.total_steps - self.warmup_steps), 0.0, 1.0)
        falling = self.final + (self.peak - self.final) * 0.5 * (1 + tf.cos(math.pi * share))
        return tf.where(step < self.warmup_steps, rising, falling)

    def get_config(self) -> dict:
        return {
            "peak": self.peak,
            "total_steps": self.total_steps,
            "warmup_steps": self.warmup_steps,
            "final": self.final,
            "name": self.name,
        }
