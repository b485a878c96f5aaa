"""Optimizers by name."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from typing import Any

from kerassl import optimizers
from kerassl._errors import UserError
from kerassl._lazy import compat as _compat
from kerassl._lazy import keras, tf

_NAMES = ("lars", "lamb", "adamw")
"""Names that `get` accepts, beside `tfa/…`."""


def check_name(name: str) -> str:
    """Check the name of an optimizer."""
    if name not in _NAMES and not re.fullmatch(r"tfa/\w+", str(name)):
        raise UserError(
            f"there is no optimizer {name!r}; there are {', '.join(_NAMES)}, and beside tensorflow-addons its own by "
            "name, as tfa/LAMB"
        )
    return name


def get(
    optimizer: str | keras.optimizers.Optimizer,
    learning_rate: float | keras.optimizers.schedules.LearningRateSchedule | None = None,
    *,
    weight_decay: float | None = None,
    variables: Sequence[tf.Variable] = (),
    **kwargs: Any,
) -> keras.optimizers.Optimizer:
    """Create an optimizer by name, with weight decay that excludes norms and biases.

    Args:
        optimizer: `"lars"`, `"lamb"`, `"adamw"`, or `"tfa/"` and a class of `tensorflow_addons.optimizers`, as
            `"tfa/LAMB"`, `"tfa/LazyAdam"` or `"tfa/NovoGrad"`. LAMB is Keras's own where it has one (Keras 3), and
            tensorflow-addons' on the addons stack. An optimizer instead of a name is returned as it is.
        learning_rate: float, schedule, or None for the optimizer's own default.
        weight_decay: float >= 0, or None for 1e-6 (SimCLR's) where norms and biases can be spared and 0 elsewhere.
        variables: the variables that will be trained. Those of rank 0 and 1 (biases, and scales and offsets of
            normalization) are not decayed.
        **kwargs: the optimizer's own arguments, as `global_clipnorm`.

    Returns:
        Optimizer, as `compile` takes it.

    Raises:
        UserError: if the name is not known, tensorflow-addons is not installed, or the optimizer has no such setting.

    Example:
        >>> model.compile(kerassl.optimizers.get("adamw", 1e-3, weight_decay=1e-4, variables=model.trainable_variables))
    """
    if not isinstance(optimizer, str):
        return optimizer
    name = check_name(optimizer)
    if learning_rate is not None:
        kwargs["learning_rate"] = learning_rate
    spared = [variable for variable in variables if len(variable.shape) < 2]
    if name.startswith("tfa/") or (name == "lamb" and not _compat.KERAS_3):
        return _addons(name, weight_decay, spared, kwargs)
    weight_decay = 1e-6 if weight_decay is None else weight_decay
    if name == "lars":
        return optimizers.LARS(weight_decay=weight_decay, **kwargs)
    make = {"adamw": "AdamW", "lamb": "Lamb"}[name]
    made = getattr(keras.optimizers, make)(weight_decay=weight_decay, **kwargs)
    made.exclude_from_weight_decay(var_list=spared)
    return made


def _addons(name, weight_decay, spared, kwargs):
    class_name = "LAMB" if name == "lamb" else name.removeprefix("tfa/")
    make = _compat.addons_optimizer(class_name, name)
    arguments = inspect.signature(make).parameters
    if "optimizer" in arguments or "optimizers_and_layers" in arguments:
        raise UserError(
            f"{name} wraps other optimizers; make it in Python, as tfa.optimizers.{class_name}(…), and give the object"
        )
    if "learning_rate" in kwargs and "learning_rate" not in arguments:
        raise UserError(f"{name} takes no learning rate; make it in Python, and give the object")
    if hasattr(make, "_do_use_weight_decay"):  # the ones that can spare variables
        kwargs["weight_decay"] = 1e-6 if weight_decay is None else weight_decay
        # By name, for want of a better way; a pattern is the whole name of one variable.
        kwargs["exclude_from_weight_decay"] = [f"^{re.escape(variable.name)}$" for variable in spared]
    elif weight_decay:
        raise UserError(
            f"{name} has no weight decay that spares norms and biases; leave weight_decay out, or use tfa/LAMB or "
            "tfa/AdamW"
        )
    return make(**kwargs)


def for_labels(
    optimizer: str | keras.optimizers.Optimizer,
    learning_rate: float | keras.optimizers.schedules.LearningRateSchedule,
    variables: Sequence[tf.Variable],
    weight_decay: float | None = None,
    clip_norm: float | None = 10.0,
) -> keras.optimizers.Optimizer:
    """Create an optimizer for training with labels: clipped gradients, and more weight decay.

    Args:
        optimizer: as `get` takes it. An optimizer instead of a name is returned as it is.
        learning_rate: float or schedule.
        variables: the variables that will be trained.
        weight_decay: float >= 0, or None for 1e-4; for those of tensorflow-addons None is the decay that is `get`'s
            default.
        clip_norm: float > 0, or None. The global norm that gradients are clipped to.

    Returns:
        Optimizer.
    """
    if weight_decay is None and optimizer in _NAMES:
        weight_decay = 1e-4
    clip = {} if clip_norm is None else {"global_clipnorm": float(clip_norm)}
    return get(optimizer, learning_rate, weight_decay=weight_decay, variables=variables, **clip)
