"""Training that does not depend on the number of replicas."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from kerassl import _compat
from kerassl._compat import keras, tf
from kerassl._errors import UserError
from kerassl.backbones.batch_norm import batch_norms
from kerassl.backbones.fast_layers import FastBatchNormalization


class OverReplicas:
    """Mixin for a model, before it: several replicas train as one that has the whole batch.

    Gradients are clipped after they are summed, and batch normalization that each replica would compute by itself is
    refused. A callback that has `wrap_fit`, as `callbacks.Resume`, runs `fit`.
    """

    def fit(
        self, x: Any = None, *args: Any, callbacks: Sequence[keras.callbacks.Callback] | None = None, **kwargs
    ) -> keras.callbacks.History:
        """Train as `keras.Model.fit`, which resumes a stopped run if `callbacks.Resume` is among the callbacks."""
        if isinstance(x, tf.data.Dataset):
            kwargs.setdefault("shuffle", False)  # the readers do, and Keras would warn that it cannot
        fit = functools.partial(self._fit, callbacks=callbacks)
        for callback in getattr(callbacks, "callbacks", callbacks) or ():
            if hasattr(callback, "wrap_fit"):
                if args:
                    raise UserError(f"with {type(callback).__name__}, give the arguments of fit after the data by name")
                return callback.wrap_fit(self, fit, x, **kwargs)
        return fit(x, *args, **kwargs)

    def _fit(self, *args, **kwargs):
        return super().fit(*args, **kwargs)

    def make_train_function(self: Any, force: bool = False) -> Any:
        if self.distribute_strategy.num_replicas_in_sync > 1:
            _check_batch_norm(self)
            _compat.clip_summed_gradients(self.optimizer)
        return super().make_train_function(force)  # type: ignore[misc]


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
