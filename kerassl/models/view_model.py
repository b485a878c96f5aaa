"""Base class of the models that learn from random views of images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kerassl import _compat, backbones, optimizers
from kerassl._compat import keras, tf
from kerassl._errors import UserError
from kerassl._numbers import check
from kerassl.augment import SimCLRViews, Views
from kerassl.losses.replicas import place_in_global_batch, shares_added_up
from kerassl.models.over_replicas import OverReplicas
from kerassl.resizing import check_image_size


class ViewModel(OverReplicas, _compat.Model):
    """Base class of models that train a backbone on two random views of each image.

    Draws depend on `seed`, the step and the image's place in the global batch alone. Subclasses define `loss_tracker`,
    `accuracy_tracker` and `_shares(views, training)`, this replica's shares of `loss` and `accuracy`; one that logs
    something else defines `metrics` and `_log`, one that takes more than images or `augment.Views` `_views(data)`.
    """

    def __init__(
        self,
        backbone: str | keras.Model,
        image_size: int,
        augmentation: Callable[..., Views] | None,
        seed: int,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.image_size = check_image_size(image_size)
        self.backbone = backbones.build(backbone) if isinstance(backbone, str) else backbone
        self.pool = keras.layers.GlobalAveragePooling2D(name="pool")
        self.augmentation = augmentation if augmentation is not None else SimCLRViews(self.image_size)
        self.seed = check(seed=seed)
        # Every part is built in the constructor: what is first called inside `train_step` would be saved as zeros.
        self.pool.build((None, None, None, self.backbone.output_shape[-1]))
        self.built = True

    def build(self, input_shape: Any = None) -> None:
        self.built = True

    def compile(self, optimizer: str | keras.optimizers.Optimizer = "adam", **kwargs) -> None:
        """Configure the model for training, as `keras.Model.compile`.

        The whole step is never compiled by XLA: on a CPU that is ten times slower.

        Args:
            optimizer: as Keras takes it; also `"lars"` or a name as `"tfa/LAMB"`, see `optimizers.get`.
            **kwargs: those of `keras.Model.compile`.
        """
        kwargs.setdefault("jit_compile", False)
        if isinstance(optimizer, str) and (optimizer == "lars" or optimizer.startswith("tfa/")):
            optimizer = optimizers.get(optimizer, variables=self.trainable_variables)
        super().compile(optimizer=optimizer, **kwargs)
        _compat.build_addons_optimizer(self)

    def fit(self, x: Any = None, *args: Any, **kwargs) -> keras.callbacks.History:
        """Train as `keras.Model.fit`, which resumes a stopped run if `callbacks.Resume` is among the callbacks."""
        kwargs.setdefault("shuffle", False)
        return super().fit(x, *args, **kwargs)

    def embed(self, images: tf.Tensor) -> tf.Tensor:
        """Compute the backbone's pooled features.

        Args:
            images: `[B, H, W, 3]` in [0, 255].

        Returns:
            `[B, features]` float32.
        """
        return tf.cast(self.pool(self.backbone(tf.cast(images, tf.float32), training=False)), tf.float32)

    def train_step(self, data: Any) -> dict:
        views = self._views(data)
        with tf.GradientTape() as tape:
            shares = self._shares(views, training=True)
            scaled = _compat.scale_loss(self.optimizer, shares.loss)
        gradients = tape.gradient(scaled, self.trainable_variables)
        _compat.apply_gradients(self.optimizer, gradients, self.trainable_variables)
        return self._log(shares)

    def test_step(self, data: Any) -> dict:
        return self._log(self._shares(self._views(data), training=False))

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        return [self.loss_tracker, self.accuracy_tracker]

    def _log(self, shares):
        """Update the metrics, and return them as logs."""
        loss, accuracy = shares_added_up(shares.loss, shares.accuracy)
        self.loss_tracker.update_state(loss)
        self.accuracy_tracker.update_state(accuracy)
        return self._logs()

    def _logs(self):
        return _compat.step_logs({metric.name: metric.result() for metric in self.metrics})

    def _views(self, data):
        images = self._images(data)
        if isinstance(images, Views):
            return images
        _warn_of_scaled(images, self.optimizer.iterations)
        return self._drawn(images)

    def _images(self, data):
        """The images of a batch, or the `Views` that it is."""
        if isinstance(data, Views):
            return data
        images = data[0] if isinstance(data, (tuple, list)) else data
        if not hasattr(images, "shape") or len(images.shape) != 4 or images.shape[-1] != 3:
            raise UserError(
                f"{type(self).__name__} takes batches of images [batch, height, width, 3] in [0, 255], or augment.Views"
            )
        return images

    def _drawn(self, images):
        """Two random views of this replica's images."""
        offset, total = place_in_global_batch(tf.shape(images)[0])
        seed = tf.stack([self.seed % 2**31, tf.cast(self.optimizer.iterations, tf.int32)])
        return self.augmentation(images, seed, offset=offset, total=total)

    def get_config(self) -> dict:
        return {
            "backbone": keras.saving.serialize_keras_object(self.backbone),
            "image_size": self.image_size,
            "augmentation": keras.saving.serialize_keras_object(self.augmentation),
            "seed": self.seed,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict) -> ViewModel:
        return cls(
            **{
                name: keras.saving.deserialize_keras_object(value) if isinstance(value, dict) else value
                for name, value in config.items()
            }
        )


def _warn_of_scaled(images, step):
    """Warn at the first step of images that seem to be scaled; black ones may be meant."""
    scaled = tf.logical_and(tf.equal(step, 0), tf.reduce_max(images) <= tf.ones([], images.dtype))
    warning = (
        "kerassl: warning: all pixels of the first batch are at most 1; give images in [0, 255], the network scales "
        "them inside"
    )
    tf.cond(scaled, lambda: tf.print(warning), tf.no_op)
