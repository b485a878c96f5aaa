"""Contrastive pre-training of a backbone."""

from __future__ import annotations

from collections.abc import Callable

from kerassl._compat import keras, tf
from kerassl.augment import Views
from kerassl.backbones.shares import on_share
from kerassl.losses import InfoNCE
from kerassl.models.embedding_statistics import embedding_statistics
from kerassl.models.projection import projection_head
from kerassl.models.view_model import ViewModel

STATISTICS = ("embedding_std", "effective_rank", "alignment", "uniformity")
"""Logs of a step besides loss and accuracy: `embedding_statistics` of the last batch."""


class _Latest(keras.metrics.Mean):
    """The last value in place of the mean since the epoch began."""

    def update_state(self, values: tf.Tensor, sample_weight: tf.Tensor | None = None) -> None:
        # As a mean of one value: Keras adds the states of replicas up, and their quotient stays right.
        self.total.assign(tf.cast(values, self.total.dtype))
        self.count.assign(tf.ones([], self.count.dtype))


@keras.saving.register_keras_serializable(package="kerassl")
class SimCLR(ViewModel):
    """Learn that two random views are of one image: a backbone, a projection head and a contrastive step.

    `fit` takes batches of images `[B, H, W, 3]` in [0, 255], from which the model draws two views itself, or batches
    of `augment.Views`. Draws depend on `seed`, the step and the image's place in the global batch alone. Under a
    `tf.distribute` strategy the negatives are those of all replicas, and batch normalization is synchronized: `fit`
    refuses a backbone whose layers are not (`backbones.with_fast_layers` replaces them).

    Args:
        backbone: name of a `keras.applications` network, as `"EfficientNetB1"`, or a flat functional `keras.Model`
            from images to a feature map.
        image_size: int. Side of the views, in pixels; a multiple of 32. 96 to 128 suits a CPU.
        projection_dim: int. Length of the embeddings that are contrasted.
        hidden_dim: int or None. Length of the head's hidden layer; None takes the backbone's number of channels.
        temperature: float > 0. Used where `loss` is None. Smaller values weight hard negatives more; 0.1 to 0.2 suits
            small networks.
        loss: callable of two `[N, D]` embeddings, or None for `losses.InfoNCE(temperature)`.
        augmentation: callable of images and a seed that returns `augment.Views`, or None for
            `augment.SimCLRViews(image_size)`.
        seed: int. Of the views' draws.

    Attributes:
        backbone: `keras.Model`, what pre-training is for. Save it by `backbones.save`.
        projection_head: `keras.Sequential`, discarded after pre-training.
        augmentation: as given.

    Raises:
        UserError: if the image size is not a multiple of 32 or the backbone is unknown.

    Example:
        >>> model = kerassl.SimCLR("EfficientNetB1", image_size=128)
        >>> model.compile(kerassl.optimizers.LARS(0.6))
        >>> model.fit(kerassl.datasets.image_folder("photos", image_size=160, batch_size=64), epochs=100)
        >>> kerassl.backbones.save(model.backbone, "backbone.keras")

    References:
        Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations", 2020.
    """

    def __init__(
        self,
        backbone: str | keras.Model = "EfficientNetB1",
        image_size: int = 128,
        *,
        projection_dim: int = 128,
        hidden_dim: int | None = None,
        temperature: float = 0.1,
        loss: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None = None,
        augmentation: Callable[..., Views] | None = None,
        seed: int = 0,
        name: str = "simclr",
        **kwargs,
    ) -> None:
        super().__init__(backbone, image_size, augmentation, seed, name=name, **kwargs)
        features = self.backbone.output_shape[-1]
        self.projection_head = projection_head(features, hidden_dim or features, projection_dim)
        wide = keras.mixed_precision.global_policy().variable_dtype
        self.objective = loss if loss is not None else InfoNCE(temperature, dtype=wide)
        self.loss_tracker = keras.metrics.Mean(name="loss")
        self.accuracy_tracker = keras.metrics.Mean(name="contrast_accuracy")
        self.statistics_trackers = [_Latest(name=name) for name in STATISTICS]
        self._config: dict = {"projection_dim": projection_dim, "hidden_dim": hidden_dim, "temperature": temperature}

    def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Return embeddings for the contrastive loss, `[B, projection_dim]`, of images `[B, H, W, 3]` in [0, 255]."""
        return on_share(lambda images: self._project(self.backbone(images, training=training), training), images)

    def _project(self, features, training):
        return self.projection_head(self.pool(features), training=training)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        return [*super().metrics, *self.statistics_trackers]

    def _shares(self, views, training):
        # One pass over both views: half the calls, and batch statistics over the two together.
        embeddings = self(tf.concat([views.first, views.second], axis=0), training=training)
        return self._contrast(*tf.split(embeddings, 2, axis=0))

    def _contrast(self, first, second):
        if isinstance(self.objective, InfoNCE):
            return self.objective.contrast(first, second)
        # A user's own loss returns no more than its value.
        beside = InfoNCE().contrast(tf.stop_gradient(first), tf.stop_gradient(second))
        return beside._replace(loss=self.objective(first, second))

    def _log(self, contrast):
        statistics = embedding_statistics(contrast.views)  # of all replicas already
        for tracker in self.statistics_trackers:
            tracker.update_state(statistics[tracker.name])
        return super()._log(contrast)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            **self._config,
            "loss": keras.saving.serialize_keras_object(self.objective),
        }
