"""Compilation, configuration and training steps of the models that are trained on labels."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from kerassl import _compat
from kerassl._compat import keras, tf
from kerassl._errors import UserError
from kerassl.backbones.shares import on_share
from kerassl.models.over_replicas import OverReplicas
from kerassl.optimizers.lr_multipliers import check_lr_multipliers, scaled_step
from kerassl.optimizers.names import for_labels


class Supervised(OverReplicas, _compat.TracedOnce, keras.Model):
    """Functional model over a backbone that is trained on labels by losses of its own.

    Subclasses build the graph, call `_describe` and define `_objectives`. The loss and the gradients of several
    replicas are those of one replica with the whole batch.

    Attributes:
        backbone: `keras.Model`, as given. Its layers are the model's own first layers.
        class_names: tuple of str.
        image_size: int, the side of the images in pixels.
        lr_multipliers: dict from parts to multipliers of the learning rate, as `compile` was given them.
    """

    lr_multipliers: dict[str, float] | None = None

    def _describe(self, backbone: keras.Model, class_names: Sequence[str], image_size: int) -> None:
        # Past Keras, which would save a model that it finds among the attributes, and its layers a second time.
        object.__setattr__(self, "_backbone", backbone)
        self.class_names = tuple(class_names)
        self.image_size = image_size

    @property
    def backbone(self) -> keras.Model:
        return self._backbone

    def _objectives(self) -> dict:
        """Losses and metrics, as `keras.Model.compile` takes them."""
        raise NotImplementedError

    def compile(
        self,
        optimizer: str | keras.optimizers.Optimizer = "adamw",
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule = 1e-3,
        *,
        lr_multipliers: Mapping[str, float] | None = None,
        weight_decay: float | None = None,
        clip_norm: float | None = 10.0,
        **kwargs,
    ) -> None:
        """Configure the model for training. Its losses and metrics are its own.

        Args:
            optimizer: a name that `optimizers.get` knows, or an optimizer, to which `learning_rate`, `weight_decay` and
                `clip_norm` do not apply.
            learning_rate: float or schedule. 1e-3 suits AdamW.
            lr_multipliers: dict from a part to a multiplier of the learning rate, as `{"backbone": 0.1}`, or None. The
                parts are `"backbone"`, or its stages `"stem"`, `"P3"`, `"P4"` and `"P5"`, `"neck"` and `"head"`; see
                `optimizers.layer_decay`. A part's weight decay is scaled with its learning rate.
            weight_decay: float >= 0, or None for 1e-4. Biases and normalization layers are not decayed.
            clip_norm: float > 0, or None. The global norm that gradients are clipped to.
            **kwargs: those of `keras.Model.compile`, but no loss and no metrics.

        Raises:
            UserError: if a loss or metrics are given, or a part, a multiplier or the optimizer is unknown.
        """
        for name in ("loss", "loss_weights", "metrics", "weighted_metrics"):
            if kwargs.pop(name, None) is not None:
                raise UserError(f"{type(self).__name__} has losses and metrics of its own; leave {name} out")
        multipliers = check_lr_multipliers(lr_multipliers)
        kwargs.setdefault("jit_compile", False)  # a whole network under XLA is ten times slower on a CPU
        with self.distribute_strategy.scope():
            optimizer = for_labels(optimizer, learning_rate, self.trainable_variables, weight_decay, clip_norm)
            super().compile(optimizer=optimizer, **self._objectives(), **kwargs)
        self.lr_multipliers = multipliers
        _compat.build_addons_optimizer(self)

    def compile_settings(self) -> dict | None:
        optimizer = getattr(self, "optimizer", None)
        return optimizer and {
            "optimizer": keras.saving.serialize_keras_object(optimizer),
            "lr_multipliers": dict(self.lr_multipliers or {}),
        }

    def call(self, inputs: tf.Tensor, training: bool | None = None, mask: Any = None) -> dict[str, tf.Tensor]:
        network = functools.partial(self._network or super().call, training=training)
        return on_share(network, inputs)

    _network = None  # in place of the model's own graph, where a part of that is left out

    def train_step(self, data: Any) -> dict:
        logs = scaled_step(self, lambda: super(Supervised, self).train_step(data))
        return _compat.logs_of_all_replicas(self, logs)

    def test_step(self, data: Any) -> dict:
        return _compat.logs_of_all_replicas(self, super().test_step(data))

    def get_config(self) -> dict:
        return {
            "name": self.name,
            "trainable": self.trainable,
            "backbone": keras.saving.serialize_keras_object(self.backbone),
            "class_names": list(self.class_names),
            "image_size": self.image_size,
        }

    @classmethod
    def from_config(cls, config: dict) -> Supervised:
        return cls(**{**config, "backbone": keras.saving.deserialize_keras_object(config["backbone"])})
