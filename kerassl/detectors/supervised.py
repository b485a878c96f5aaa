"""Training steps that do not depend on the number of replicas."""

import tensorflow as tf

from kerassl import _compat
from kerassl.backbones.shares import on_share
from kerassl.models.over_replicas import OverReplicas
from kerassl.optimizers.part_rates import scaled_step


class Supervised(OverReplicas, _compat.TracedOnce):
    """Mixed into a functional model that is trained by Keras's own step on labels, before it.

    Attributes:
        learning_rates: dict from parts to factors, as `check_learning_rates` returns it, or None.
    """

    learning_rates = None

    def fit(self, x=None, *args, **kwargs):
        if isinstance(x, tf.data.Dataset):
            kwargs.setdefault("shuffle", False)  # the readers do, and Keras would warn that it cannot
        return super().fit(x, *args, **kwargs)

    def call(self, inputs, training=None, mask=None):
        network = super().call
        return on_share(lambda inputs: network(inputs, training=training, mask=mask), inputs)

    def train_step(self, data):
        logs = scaled_step(self, lambda: super(Supervised, self).train_step(data))
        return _compat.logs_of_all_replicas(self, logs)

    def test_step(self, data):
        return _compat.logs_of_all_replicas(self, super().test_step(data))
