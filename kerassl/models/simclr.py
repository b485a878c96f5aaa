"""Contrastive pre-training of a backbone."""

import keras
import tensorflow as tf

from kerassl import _compat, backbones, optimizers
from kerassl._errors import UserError
from kerassl._numbers import check
from kerassl.augment import SimCLRViews, Views
from kerassl.backbones.shares import on_share
from kerassl.losses import InfoNCE
from kerassl.losses.replicas import place_in_global_batch, shares_added_up
from kerassl.models.embedding_statistics import embedding_statistics
from kerassl.models.latest import Latest
from kerassl.models.over_replicas import OverReplicas
from kerassl.models.projection import projection_head
from kerassl.resizing import check_image_size

STATISTICS = ("embedding_std", "effective_rank", "alignment", "uniformity")
"""What a step logs beside its loss and its accuracy: `embedding_statistics` of the last batch."""


@keras.saving.register_keras_serializable(package="kerassl")
class SimCLR(OverReplicas, _compat.Model):
    """Learns to tell that two random views are of one image: a backbone, a projection head and a contrastive step.

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
        temperature: float > 0. Used where `loss` is None. Lower looks harder at near negatives; 0.1 to 0.2 suits
            small networks.
        loss: callable of two `[N, D]` embeddings, or None for `losses.InfoNCE(temperature)`.
        augmentation: callable of images and a seed that gives `augment.Views`, or None for
            `augment.SimCLRViews(image_size)`.
        seed: int. Of the views' draws.

    Attributes:
        backbone: `keras.Model`, what pre-training is for. Save it by `backbones.save`.
        projection_head: `keras.Sequential`, thrown away after pre-training.
        augmentation: as given.

    Raises:
        UserError: if the image size is no multiple of 32 or the backbone is unknown.

    Example:
        >>> model = kerassl.SimCLR("EfficientNetB1", image_size=128)
        >>> model.compile(kerassl.optimizers.LARS(0.6))
        >>> model.fit(kerassl.datasets.image_folder("photos", image_size=160, batch_size=64), epochs=100)
        >>> kerassl.backbones.save(model.backbone, "backbone.keras")

    Reference:
        Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations", 2020.
    """

    def __init__(
        self,
        backbone="EfficientNetB1",
        image_size=128,
        *,
        projection_dim=128,
        hidden_dim=None,
        temperature=0.1,
        loss=None,
        augmentation=None,
        seed=0,
        name="simclr",
        **kwargs,
    ):
        super().__init__(name=name, **kwargs)
        self.image_size = check_image_size(image_size)
        self.backbone = backbones.build(backbone) if isinstance(backbone, str) else backbone
        features = self.backbone.output_shape[-1]
        self.pool = keras.layers.GlobalAveragePooling2D(name="pool")
        self.projection_head = projection_head(features, hidden_dim or features, projection_dim)
        wide = keras.mixed_precision.global_policy().variable_dtype
        self.objective = loss if loss is not None else InfoNCE(temperature, dtype=wide)
        self.augmentation = augmentation if augmentation is not None else SimCLRViews(self.image_size)
        self.seed = check(seed=seed)
        self.loss_tracker = keras.metrics.Mean(name="loss")
        self.accuracy_tracker = keras.metrics.Mean(name="contrast_accuracy")
        self.statistics_trackers = [Latest(name=name) for name in STATISTICS]
        self._config = {"projection_dim": projection_dim, "hidden_dim": hidden_dim, "temperature": temperature}
        # Every part is built here: what is first called inside `train_step` would be saved as zeros.
        self.pool.build((None, None, None, features))
        self.built = True

    def build(self, input_shape=None):
        self.built = True

    def compile(self, optimizer="adam", **kwargs):
        """As `keras.Model.compile`; `optimizer` may also be `"lars"` or a name as `"tfa/LAMB"` (`optimizers.get`).

        The whole step is never compiled by XLA: on a CPU that is ten times slower.
        """
        kwargs.setdefault("jit_compile", False)
        if isinstance(optimizer, str) and (optimizer == "lars" or optimizer.startswith("tfa/")):
            optimizer = optimizers.get(optimizer, variables=self.trainable_variables)
        super().compile(optimizer=optimizer, **kwargs)
        _compat.build_addons_optimizer(self)

    def fit(self, x=None, *args, **kwargs):
        """Train as `keras.Model.fit`, which resumes a stopped run if `callbacks.Resume` is among the callbacks."""
        kwargs.setdefault("shuffle", False)
        return super().fit(x, *args, **kwargs)

    def call(self, images, training=False):
        """Embeddings for the contrastive loss, `[B, projection_dim]`, of images `[B, H, W, 3]` in [0, 255]."""
        return on_share(lambda images: self._project(self.backbone(images, training=training), training), images)

    def _project(self, features, training):
        return self.projection_head(self.pool(features), training=training)

    def embed(self, images):
        """The backbone's pooled features, which outlive pre-training.

        Args:
            images: `[B, H, W, 3]` in [0, 255].

        Returns:
            `[B, features]` float32.
        """
        return tf.cast(self.pool(self.backbone(tf.cast(images, tf.float32), training=False)), tf.float32)

    @property
    def metrics(self):
        return [self.loss_tracker, self.accuracy_tracker, *self.statistics_trackers]

    def train_step(self, data):
        views = self._views(data)
        with tf.GradientTape() as tape:
            contrast = self._contrast_of(views, training=True)
            scaled = _compat.scale_loss(self.optimizer, contrast.loss)
        gradients = tape.gradient(scaled, self.trainable_variables)
        _compat.apply_gradients(self.optimizer, gradients, self.trainable_variables)
        return self._log(contrast)

    def test_step(self, data):
        return self._log(self._contrast_of(self._views(data), training=False))

    def _views(self, data):
        if isinstance(data, Views):
            return data
        images = data[0] if isinstance(data, (tuple, list)) else data
        if not hasattr(images, "shape") or len(images.shape) != 4 or images.shape[-1] != 3:
            raise UserError("SimCLR takes batches of images [batch, height, width, 3] in [0, 255], or augment.Views")
        _warn_of_scaled(images, self.optimizer.iterations)
        offset, total = place_in_global_batch(tf.shape(images)[0])
        seed = tf.stack([self.seed % 2**31, tf.cast(self.optimizer.iterations, tf.int32)])
        return self.augmentation(images, seed, offset=offset, total=total)

    def _contrast_of(self, views, training):
        # One pass over both views: half the calls, and batch statistics over the two together.
        embeddings = self(tf.concat([views.first, views.second], axis=0), training=training)
        return self._contrast(*tf.split(embeddings, 2, axis=0))

    def _contrast(self, first, second):
        if isinstance(self.objective, InfoNCE):
            return self.objective.contrast(first, second)
        # A loss of one's own tells no more than its value.
        beside = InfoNCE().contrast(tf.stop_gradient(first), tf.stop_gradient(second))
        return beside._replace(loss=self.objective(first, second))

    def _log(self, contrast):
        loss, accuracy = shares_added_up(contrast.loss, contrast.accuracy)
        self.loss_tracker.update_state(loss)
        self.accuracy_tracker.update_state(accuracy)
        statistics = embedding_statistics(contrast.views)  # of all replicas already
        for tracker in self.statistics_trackers:
            tracker.update_state(statistics[tracker.name])
        return _compat.step_logs({metric.name: metric.result() for metric in self.metrics})

    def get_config(self):
        return {
            **self._config,
            "backbone": keras.saving.serialize_keras_object(self.backbone),
            "image_size": self.image_size,
            "loss": keras.saving.serialize_keras_object(self.objective),
            "augmentation": keras.saving.serialize_keras_object(self.augmentation),
            "seed": self.seed,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        for part in ("backbone", "loss", "augmentation"):
            config[part] = keras.saving.deserialize_keras_object(config[part])
        return cls(**config)


def _warn_of_scaled(images, step):
    """Says at the first step that images look as if someone had scaled them; black ones may be meant."""
    scaled = tf.logical_and(tf.equal(step, 0), tf.reduce_max(images) <= tf.ones([], images.dtype))
    warning = (
        "kerassl: warning: all pixels of the first batch are at most 1; give images in [0, 255], for the network "
        "scales them inside"
    )
    tf.cond(scaled, lambda: tf.print(warning), tf.no_op)
