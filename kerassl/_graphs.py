"""Graphs of functions that belong to one model."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from kerassl._lazy import tf


def graph_of(function: Callable, **options: Any) -> tf.types.experimental.PolymorphicFunction:
    """Compile a function that is made or bound for each model.

    TensorFlow counts tracings by the code of a function. To it the closures and bound methods of all models are one
    function that is traced again and again, and it warns. It knows partials one by one.

    Args:
        function: Function, closure or bound method of tensors.
        **options: As of `tf.function`.

    Returns:
        What `tf.function` returns.

    Example:
        >>> embed = graph_of(model.embed, input_signature=[tf.TensorSpec([None, 64, 64, 3])])
    """
    return tf.function(functools.partial(function), **options)
