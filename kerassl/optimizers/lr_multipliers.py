"""Learning-rate multipliers by part of a model, for any optimizer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from kerassl._errors import UserError
from kerassl._lazy import compat as _compat
from kerassl._lazy import keras, tf
from kerassl.backbones.parts import by_part, parts


def check_lr_multipliers(multipliers: Mapping[str, float] | None) -> dict[str, float]:
    """Check multipliers of the learning rate by part of a model, and return them as a dict of floats."""
    multipliers = dict(multipliers or {})
    by_part(multipliers)
    for part, value in multipliers.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not (math.isfinite(value) and value > 0):
            raise UserError(
                f"the learning rate of {part} is {value!r} times that of the optimizer; give a number above 0, as 0.1, "
                "and freeze what is not to be trained"
            )
    return {part: float(value) for part, value in multipliers.items()}


def layer_decay(decay: float) -> dict[str, float]:
    """Compute multipliers that fall by a factor with each stage, from the neck down to the stem.

    Args:
        decay: float in (0, 1]. 0.65 to 0.9 is usual.

    Returns:
        Dict for `lr_multipliers`: 1 for neck and head, `decay` for P5, its square for P4, and so on.

    Example:
        >>> kerassl.optimizers.layer_decay(0.5)
        {'P5': 0.5, 'P4': 0.25, 'P3': 0.125, 'stem': 0.0625}
    """
    return check_lr_multipliers({part: decay**power for power, part in enumerate(("P5", "P4", "P3", "stem"), start=1)})


def scaled_step(model: keras.Model, step: Callable[[], dict]) -> dict:
    """Take a training step in which each part's change is scaled by its multiplier.

    With every optimizer here a step's change is proportional to the learning rate, decoupled weight decay included. So
    the multiplier is applied to the change, and no optimizer has to know of it.

    Args:
        model: `keras.Model` with `lr_multipliers`, a dict as `check_lr_multipliers` returns it.
        step: function without arguments, which takes the step.

    Returns:
        What `step` returns.
    """
    multipliers = {part: value for part, value in by_part(model.lr_multipliers or {}).items() if value != 1}
    if not multipliers:
        return step()
    layers = parts(model)
    scaled = [
        (_compat.tf_variable(weight), value)
        for part, value in multipliers.items()
        for layer in layers[part]
        for weight in layer.trainable_weights
    ]
    before = [tf.identity(variable.read_value()) for variable, _ in scaled]
    result = step()

    def scale_back(strategy, before):
        for (variable, value), old in zip(scaled, before):
            strategy.extended.update(variable, _scale_change, args=(old, value), group=False)

    tf.distribute.get_replica_context().merge_call(scale_back, args=(before,))
    return result


def _scale_change(variable, old, multiplier):
    variable.assign(old + multiplier * (variable - old))
