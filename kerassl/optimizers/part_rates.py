"""Learning rates by part, for any optimizer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from kerassl._errors import UserError
from kerassl._lazy import compat as _compat
from kerassl._lazy import keras, tf
from kerassl.backbones.parts import by_part, parts


def check_learning_rates(rates: Mapping) -> dict[str, float]:
    """Refuse factors that are none.

    Args:
        rates: dict from a part (`"backbone"`, `"stem"`, `"P3"`, `"P4"`, `"P5"`, `"neck"`, `"head"`) to a float > 0, or
            None.

    Returns:
        The same as a dict of floats.

    Raises:
        UserError: if a part is not known or a factor is no number above 0.
    """
    rates = dict(rates or {})
    by_part(rates)
    for part, rate in rates.items():
        if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not (math.isfinite(rate) and rate > 0):
            raise UserError(
                f"the learning rate of {part} is {rate!r} times that of the optimizer; give a number above 0, as 0.1, "
                "and freeze or unfreeze what is not to be trained"
            )
    return {part: float(rate) for part, rate in rates.items()}


def layer_decay(decay: float) -> dict[str, float]:
    """Learning rates that fall by a factor with each stage, from the neck down to the stem.

    Args:
        decay: float in (0, 1]. 0.65 to 0.9 is usual.

    Returns:
        Dict for `learning_rates`: 1 for neck and head, `decay` for P5, its square for P4, and so on.

    Example:
        >>> kerassl.optimizers.layer_decay(0.5)
        {'P5': 0.5, 'P4': 0.25, 'P3': 0.125, 'stem': 0.0625}
    """
    return check_learning_rates({part: decay**power for power, part in enumerate(("P5", "P4", "P3", "stem"), start=1)})


def scaled_step(model: keras.Model, step: Callable) -> Any:
    """A training step, of which the model's `learning_rates` let each part go its share of the way.

    What a step changes is proportional to the learning rate with every optimizer here, decoupled weight decay
    included; so the factor goes to the change, and no optimizer has to know of it.

    Args:
        model: `keras.Model` with `learning_rates`, a dict as `check_learning_rates` returns it.
        step: function without arguments, which takes the step.

    Returns:
        What `step` returns.
    """
    rates = {part: rate for part, rate in by_part(model.learning_rates or {}).items() if rate != 1}
    if not rates:
        return step()
    layers = parts(model)
    scaled = [
        (_compat.tf_variable(weight), rate)
        for part, rate in rates.items()
        for layer in layers[part]
        for weight in layer.trainable_weights
    ]
    before = [tf.identity(variable.read_value()) for variable, _ in scaled]
    result = step()

    def go_back(strategy, before):
        for (variable, rate), old in zip(scaled, before):
            strategy.extended.update(variable, _go_back, args=(old, rate), group=False)

    tf.distribute.get_replica_context().merge_call(go_back, args=(before,))
    return result


def _go_back(variable, old, rate):
    variable.assign(old + rate * (variable - old))
