"""State of a model that changes in training."""

from __future__ import annotations

from typing import Any

from kerassl._compat import keras


def weights(model: keras.Model) -> list:
    """A model's weights and random states, without the sums of its metrics; those that are trained now first."""
    metrics = {id(variable) for variable in metric_variables(model)}  # Keras 2.15 has them among the model's own
    return [each for each in (*model.trainable_variables, *model.non_trainable_variables) if id(each) not in metrics]


def metric_variables(model: keras.Model) -> list:
    return [variable for metric in model.metrics for variable in metric.variables]


def has_more_steps(model: keras.Model) -> bool:
    """Whether the present `fit` is the rest of an epoch, with another `fit` of the same run behind it."""
    return getattr(model, "_fit_has_more_steps", False) and not model.stop_training


def was_resumed(model: keras.Model) -> bool:
    """Whether `Resume` has put a checkpoint into the model."""
    return getattr(model, "_was_resumed", False)


def set_resumed(model: keras.Model) -> None:
    object.__setattr__(model, "_was_resumed", True)


def set_more_steps(model: keras.Model, value: bool) -> None:
    object.__setattr__(model, "_fit_has_more_steps", value)  # past Keras, which would track it


def set_ema(model: keras.Model, ema: Any) -> None:
    object.__setattr__(model, "_ema", ema)


def ema_of(model: keras.Model) -> Any:
    """The `EMA` of the `fit` that runs, or None."""
    return getattr(model, "_ema", None)
