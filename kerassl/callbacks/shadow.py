"""A second copy of a model's weights."""

from __future__ import annotations

from kerassl import _compat
from kerassl._compat import keras, tf
from kerassl._graphs import graph_of
from kerassl.callbacks import state


class Shadow:
    """A variable beside each floating-point weight of a model, the moving statistics among them.

    Args:
        model: built `keras.Model`.
        kept: bool. Make the variables; else there are the weights alone, to look at.
    """

    def __init__(self, model: keras.Model, kept: bool = True) -> None:
        weights = [_compat.tf_variable(weight) for weight in state.weights(model)]
        self.weights = [weight for weight in weights if weight.dtype.is_floating]
        self._strategy = model.distribute_strategy
        with self._strategy.scope():
            self.variables = [tf.Variable(each.read_value(), trainable=False) for each in self.weights] if kept else []
        # One graph each: variable by variable from Python would take longer than the copying.
        self._move, self._copy, self._swap, self._restore, self._finite = (
            graph_of(graph)
            for graph in (
                self._graph_of_move,
                self._graph_of_copy,
                self._graph_of_swap,
                self._graph_of_restore,
                self._sums_finite,
            )
        )

    def move(self, share: float) -> None:
        """Move by a share of the way towards the weights."""
        with self._strategy.scope():
            self._move(tf.constant(share, tf.float32))

    def copy(self) -> None:
        """Take the weights as they are."""
        with self._strategy.scope():
            self._copy()

    def swap(self) -> None:
        """Exchange the two sets."""
        with self._strategy.scope():
            self._swap()

    def restore(self) -> None:
        """Put back what was copied."""
        with self._strategy.scope():
            self._restore()

    def finite(self) -> bool:
        """Whether all weights are finite."""
        return bool(self._finite())

    def _sums_finite(self):
        # Sums, as looking at each value would write an array as large; not of products with 0, which TensorFlow knows.
        return tf.math.is_finite(tf.add_n([tf.cast(tf.reduce_sum(each), tf.float64) for each in self.weights]))

    def _graph_of_move(self, share):
        self._each(_moved, share)

    def _graph_of_copy(self):
        self._each(_copied)

    def _graph_of_swap(self):
        self._each(_swapped)

    def _graph_of_restore(self):
        self._each(_put)

    def _each(self, change, *arguments):
        for weight, own in zip(self.weights, self.variables):  # on each replica by itself
            self._strategy.extended.update(own, change, args=(weight, *arguments), group=False)


def _moved(own, weight, share):
    # In this form an unchanged weight is met exactly.
    own.assign_add(tf.cast(share, own.dtype) * (weight - own))


def _copied(own, weight):
    own.assign(weight)


def _swapped(own, weight):
    value = tf.identity(weight.read_value())
    weight.assign(own)
    own.assign(value)


def _put(own, weight):
    weight.assign(own)
