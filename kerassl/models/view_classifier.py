"""Pre-training with labels: the baseline of contrastive pre-training."""

from __future__ import annotations

import typing
from collections.abc import Callable, Sequence

from kerassl._compat import keras, tf
from kerassl.augment import Views
from kerassl.backbones.shares import on_share
from kerassl.losses.replicas import place_in_global_batch
from kerassl.models.view_model import ViewModel


class _Shares(typing.NamedTuple):
    """This replica's shares of loss and accuracy."""

    loss: tf.Tensor
    accuracy: tf.Tensor


@keras.saving.register_keras_serializable(package="kerassl")
class ViewClassifier(ViewModel):
    """Learn the class of both random views of each image: a backbone, its pooled features and one dense layer.

    It sees what `SimCLR` sees, image by image and view by view, and the labels in addition. `fit` takes batches of
    images `[B, H, W, 3]` in [0, 255] and labels `[B]` int. The loss is the mean cross-entropy over the 2N views of the
    global batch, however many replicas share it.

    Args:
        backbone: name of a `keras.applications` network, or a flat functional `keras.Model` from images to a feature
            map.
        class_names: sequence of str.
        image_size: int. Side of the views, in pixels; a multiple of 32.
        augmentation: callable of images and a seed that returns `augment.Views`, or None for
            `augment.SimCLRViews(image_size)`.
        seed: int. Of the views' draws.

    Attributes:
        backbone: `keras.Model`, what the training is for.

    Raises:
        UserError: if the image size is not a multiple of 32.

    Example:
        >>> model = kerassl.models.ViewClassifier(kerassl.backbones.build("MobileNet"), ("cat", "dog"), 96)
        >>> model.compile(kerassl.optimizers.LARS(0.6))
        >>> model.fit(images_and_labels, epochs=100)
    """

    def __init__(
        self,
        backbone: str | keras.Model,
        class_names: Sequence[str],
        image_size: int = 128,
        *,
        augmentation: Callable[..., Views] | None = None,
        seed: int = 0,
        name: str = "view_classifier",
        **kwargs,
    ) -> None:
        super().__init__(backbone, image_size, augmentation, seed, name=name, **kwargs)
        self.class_names = tuple(class_names)
        wide = keras.mixed_precision.global_policy().variable_dtype
        self.classifier = keras.layers.Dense(len(self.class_names), dtype=wide, name="classifier")
        self.classifier.build((None, self.backbone.output_shape[-1]))
        self.loss_tracker = keras.metrics.Mean(name="loss")
        self.accuracy_tracker = keras.metrics.Mean(name="accuracy")

    def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Return logits `[B, C]` of images `[B, H, W, 3]` in [0, 255]."""
        return on_share(lambda images: self.classifier(self.pool(self.backbone(images, training=training))), images)

    def _views(self, data):
        images, labels = data[:2]
        views = self._drawn(images)
        # One pass over both views, as in SimCLR: batch statistics over the two together.
        return tf.concat([views.first, views.second], 0), tf.concat([labels, labels], 0)

    def _shares(self, views, training):
        images, labels = views
        logits = self(images, training=training)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        right = tf.cast(tf.argmax(logits, -1, tf.int32) == tf.cast(labels, tf.int32), logits.dtype)
        _, count = place_in_global_batch(tf.shape(images)[0])
        count = tf.cast(count, logits.dtype)
        return _Shares(tf.reduce_sum(losses) / count, tf.reduce_sum(right) / count)

    def get_config(self) -> dict:
        return {**super().get_config(), "class_names": list(self.class_names)}
