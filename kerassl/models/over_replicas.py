"""Training steps that do not depend on the number of replicas."""

from kerassl import _compat
from kerassl._errors import UserError
from kerassl.backbones.batch_norm import batch_norms
from kerassl.backbones.fast_layers import FastBatchNormalization


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


def _check_batch_norm(model):
    norms = [layer for layer in batch_norms(model) if layer.trainable]
    alone = [layer for layer in norms if not isinstance(layer, FastBatchNormalization)]
    if alone:
        raise UserError(
            f"{model.name} has {len(alone)} layers of batch normalization, {alone[0].name} the first, that each of "
            f"{model.distribute_strategy.num_replicas_in_sync} replicas would compute by itself; give the model "
            "kerassl.backbones.with_fast_layers(backbone), whose layers are synchronized, or freeze them by "
            "freeze_batch_norm"
        )
