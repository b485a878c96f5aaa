"""Stages of a backbone that unfreeze at an epoch."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from kerassl import _compat
from kerassl._compat import keras
from kerassl._errors import UserError
from kerassl.backbones.parts import parts
from kerassl.callbacks.unfreezing_schedule import check_unfreezing

log = logging.getLogger("kerassl")


class GradualUnfreezing(keras.callbacks.Callback):
    """Freeze stages of the backbone for the first epochs.

    What is frozen is out of the training graph: its weights, its moving statistics and the optimizer's slots keep their
    bits, whatever the momentum or weight decay, and its steps cost no backward pass. When a stage unfreezes, at the
    beginning of an epoch, the step is traced again, and only then. The optimizer is built over all weights from the
    start, so that its slots, its step and the checkpoints stay what they are.

    What is frozen depends on the number of the epoch alone: with `fit(initial_epoch=…)` a run continues unchanged.
    After `fit` the model is as trainable as it was before.

    Args:
        schedule: dict from `"stem"`, `"P3"`, `"P4"` or `"P5"` (the layers up to the last feature map of stride 4, 8, 16
            and 32), or `"backbone"` for all of them, to the number of epochs that it is frozen; None freezes it to the
            end. A stage's own entry goes over the backbone's, and what is not named is trained from the start.

    Raises:
        UserError: if there is no such stage or a number is not whole; when training begins, if the model has no
            backbone, or a stage is frozen already.

    Example:
        >>> top_down = kerassl.callbacks.GradualUnfreezing({"P5": 2, "P4": 4, "P3": 6, "stem": None})
        >>> detector.fit(batches, epochs=20, callbacks=[top_down])
    """

    def __init__(self, schedule: Mapping[str, int | None]) -> None:
        super().__init__()
        self.schedule = check_unfreezing(schedule)
        self._frozen: dict = {}

    def on_train_begin(self, logs: Any = None) -> None:
        self._set({})  # of a run that an error ended
        found = parts(self.model)
        self._layers = {stage: [layer for layer in found[stage] if layer.trainable] for stage in self.schedule}
        for stage, layers in self._layers.items():
            if not any(layer.trainable_weights for layer in layers):
                raise UserError(
                    f"{stage} of the backbone is frozen already; build the model without freeze to unfreeze it"
                )
        with self.model.distribute_strategy.scope():
            _compat.build_optimizer(self.model.optimizer, self.model.trainable_variables)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        frozen = [stage for stage, epochs in self.schedule.items() if epochs is None or epoch < epochs]
        self._set({stage: self._layers[stage] for stage in frozen})

    def on_train_end(self, logs: Any = None) -> None:
        self._set({})

    def _set(self, frozen):
        if list(frozen) == list(self._frozen):
            return
        for layers, trainable in ((self._frozen, True), (frozen, False)):
            for layer in (layer for each in layers.values() for layer in each):
                layer.trainable = trainable
        self._frozen = frozen
        # Keras traces its step once; what is trainable is asked for then.
        self.model.make_train_function(force=True)
        log.info("frozen: %s", ", ".join(frozen) or "nothing")
