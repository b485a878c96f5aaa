"""Training steps that do not depend on the number of replicas."""

import tensorflow as tf

from kerassl import _compat
from kerassl._errors import UserError
from kerassl.backbones.batch_norm import batch_norms
from kerassl.backbones.fast_layers import FastBatchNormalization
from kerassl.backbones.shares import on_share
from kerassl.models.part_rates import scaled_step


class OverReplicas:
    """Mixed into a model, before it: several replicas train as one that has the whole batch.

    Gradients are clipped after they are summed, and batch normalization that each replica would compute by itself is
    refused.
    """

    def make_train_function(self, force=False):
        if self.distribute_strategy.num_replicas_in_sync > 1:
            _check_batch_norm(self)
            _compat.clip_summed_gradients(self.optimizer)
        return super().make_train_function(force)


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


def _check_batch_norm(model):
    norms = [layer for layer in batch_norms(model) if layer.trainable]
    alone = [layer for layer in norms if not isinstance(layer, FastBatchNormalization)]
    if alone:
        raise UserError(
            f"{model.name} has {len(alone)} layers of batch normalization, {alone[0].name} the first, that each of "
            f"{model.distribute_strategy.num_replicas_in_sync} replicas would compute by itself; give the model "
            "kerassl.backbones.fast(backbone), whose layers are synchronized, or freeze them by freeze_batch_norm"
        )
