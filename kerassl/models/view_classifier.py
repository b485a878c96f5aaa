"""Pre-training by labels: what contrastive pre-training is held against."""

import keras
import tensorflow as tf

from kerassl import _compat
from kerassl._numbers import check
from kerassl.augment import SimCLRViews
from kerassl.backbones.shares import on_share
from kerassl.losses.replicas import place_in_global_batch, shares_added_up
from kerassl.models.over_replicas import OverReplicas
from kerassl.resizing import check_image_size


@keras.saving.register_keras_serializable(package="kerassl")
class ViewClassifier(OverReplicas, _compat.Model):
    """Learns the class of both random views of each image: a backbone, its pooled features and one dense layer.

    It sees what `SimCLR` sees, image by image and view by view, and is told the labels in addition. `fit` takes batches
    of images `[B, H, W, 3]` in [0, 255] and labels `[B]` int. The loss is the mean cross-entropy over the 2N views of
    the global batch; R replicas give that of one.

    Args:
        backbone: flat functional `keras.Model` from images to a feature map.
        class_names: sequence of str.
        image_size: int. Side of the views, in pixels; a multiple of 32.
        augmentation: callable of images and a seed that gives `augment.Views`, or None for
            `augment.SimCLRViews(image_size)`.
        seed: int. Of the views' draws.

    Attributes:
        backbone: `keras.Model`, what the training is for.

    Raises:
        UserError: if the image size is no multiple of 32.

    Example:
        >>> model = kerassl.models.ViewClassifier(kerassl.backbones.build("MobileNet"), ("cat", "dog"), 96)
        >>> model.compile(kerassl.optimizers.LARS(0.6))
        >>> model.fit(images_and_labels, epochs=100)
    """

    def __init__(
        self, backbone, class_names, image_size=128, *, augmentation=None, seed=0, name="view_classifier", **kwargs
    ):
        super().__init__(name=name, **kwargs)
        self.image_size = check_image_size(image_size)
        self.class_names = tuple(class_names)
        self.backbone = backbone
        features = backbone.output_shape[-1]
        self.pool = keras.layers.GlobalAveragePooling2D(name="pool")
        wide = keras.mixed_precision.global_policy().variable_dtype
        self.classifier = keras.layers.Dense(len(self.class_names), dtype=wide, name="classifier")
        self.augmentation = augmentation if augmentation is not None else SimCLRViews(self.image_size)
        self.seed = check(seed=seed)
        self.loss_tracker = keras.metrics.Mean(name="loss")
        self.accuracy_tracker = keras.metrics.Mean(name="accuracy")
        # Every part is built here: what is first called inside `train_step` would be saved as zeros.
        self.pool.build((None, None, None, features))
        self.classifier.build((None, features))
        self.built = True

    def build(self, input_shape=None):
        self.built = True

    def compile(self, optimizer="adam", **kwargs):
        """As `keras.Model.compile`; the whole step is never compiled by XLA, which is slow on a CPU."""
        kwargs.setdefault("jit_compile", False)
        super().compile(optimizer=optimizer, **kwargs)
        _compat.build_addons_optimizer(self)

    def fit(self, x=None, *args, **kwargs):
        """Train as `keras.Model.fit`, which resumes a stopped run if `callbacks.Resume` is among the callbacks."""
        kwargs.setdefault("shuffle", False)
        return super().fit(x, *args, **kwargs)

    def call(self, images, training=False):
        """Logits `[B, C]` of images `[B, H, W, 3]` in [0, 255]."""
        return on_share(lambda images: self.classifier(self.pool(self.backbone(images, training=training))), images)

    def embed(self, images):
        """The backbone's pooled features `[B, features]` float32, as `SimCLR.embed`."""
        return tf.cast(self.pool(self.backbone(tf.cast(images, tf.float32), training=False)), tf.float32)

    @property
    def metrics(self):
        return [self.loss_tracker, self.accuracy_tracker]

    def train_step(self, data):
        views, labels, total = self._views(data)
        with tf.GradientTape() as tape:
            loss, accuracy = self._shares(views, labels, total, training=True)
            scaled = _compat.scale_loss(self.optimizer, loss)
        gradients = tape.gradient(scaled, self.trainable_variables)
        _compat.apply_gradients(self.optimizer, gradients, self.trainable_variables)
        return self._log(loss, accuracy)

    def test_step(self, data):
        return self._log(*self._shares(*self._views(data), training=False))

    def _views(self, data):
        images, labels = data[:2]
        offset, total = place_in_global_batch(tf.shape(images)[0])
        seed = tf.stack([self.seed % 2**31, tf.cast(self.optimizer.iterations, tf.int32)])
        views = self.augmentation(images, seed, offset=offset, total=total)
        # One pass over both views, as SimCLR has it: batch statistics over the two together.
        return tf.concat([views.first, views.second], 0), tf.concat([labels, labels], 0), total

    def _shares(self, views, labels, total, training):
        """This replica's shares of loss and accuracy, which add up: optimisers sum over replicas, too."""
        logits = self(views, training=training)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        right = tf.cast(tf.argmax(logits, -1, tf.int32) == tf.cast(labels, tf.int32), logits.dtype)
        count = 2 * tf.cast(total, logits.dtype)
        return tf.reduce_sum(losses) / count, tf.reduce_sum(right) / count

    def _log(self, loss, accuracy):
        loss, accuracy = shares_added_up(loss, accuracy)
        self.loss_tracker.update_state(loss)
        self.accuracy_tracker.update_state(accuracy)
        return _compat.step_logs({metric.name: metric.result() for metric in self.metrics})

    def get_config(self):
        return {
            "backbone": keras.saving.serialize_keras_object(self.backbone),
            "class_names": list(self.class_names),
            "image_size": self.image_size,
            "augmentation": keras.saving.serialize_keras_object(self.augmentation),
            "seed": self.seed,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        for part in ("backbone", "augmentation"):
            config[part] = keras.saving.deserialize_keras_object(config[part])
        return cls(**config)
