"""SimCLR as Keras examples usually write it, for comparison: nothing of kerassl is in it."""

import keras
import tensorflow as tf


class UsualSimCLR(keras.Model):
    """Two encoder passes, a loss across the views alone, stock layers throughout.

    Each first view is contrasted with the batch's second views and the other way round; views of one kind are never
    contrasted with each other, so there are `N - 1` negatives instead of `2N - 2`.

    Args:
        network: str, a name in `keras.applications`.
        image_size: int. Side of the views in pixels.
        temperature: float > 0.
    """

    def __init__(self, network, image_size, temperature=0.1):
        super().__init__()
        trunk = getattr(keras.applications, network)(
            include_top=False, weights=None, pooling="avg", input_shape=(image_size, image_size, 3)
        )
        width = trunk.output_shape[-1]
        self.augment = usual_layers(image_size)
        self.encoder = keras.Sequential([keras.Input((image_size, image_size, 3)), trunk])
        self.head = keras.Sequential(
            [keras.Input((width,)), keras.layers.Dense(width, activation="relu"), keras.layers.Dense(128)]
        )
        self.temperature = temperature
        self.loss_tracker = keras.metrics.Mean(name="loss")
        self.accuracy_tracker = keras.metrics.SparseCategoricalAccuracy(name="contrastive_accuracy")

    @property
    def metrics(self):
        return [self.loss_tracker, self.accuracy_tracker]

    def train_step(self, images):
        first, second = self.augment(images, training=True), self.augment(images, training=True)
        weights = self.encoder.trainable_weights + self.head.trainable_weights
        with tf.GradientTape() as tape:
            left = self.head(self.encoder(first, training=True), training=True)
            right = self.head(self.encoder(second, training=True), training=True)
            scores = self._scores(left, right)  # [B, B]
            number = tf.range(tf.shape(scores)[0])
            both = tf.nn.sparse_softmax_cross_entropy_with_logits(number, scores)
            both += tf.nn.sparse_softmax_cross_entropy_with_logits(number, tf.transpose(scores))
            loss = tf.reduce_mean(both) / 2
        self.optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
        self.loss_tracker.update_state(loss)
        self.accuracy_tracker.update_state(number, scores)
        return {metric.name: metric.result() for metric in self.metrics}

    def _scores(self, left, right):
        left, right = tf.math.l2_normalize(left, axis=1), tf.math.l2_normalize(right, axis=1)
        return tf.matmul(left, right, transpose_b=True) / self.temperature


def usual_layers(image_size):
    """The usual augmentation of images `[B, S, S, 3]` of one size, as a `keras.Sequential`; call it with training=True.

    Args:
        image_size: int. Side in pixels.
    """
    return keras.Sequential(
        [
            keras.Input((image_size, image_size, 3)),
            keras.layers.RandomFlip("horizontal"),
            # Together they show a part of the image somewhere, as a random crop does.
            keras.layers.RandomTranslation(0.25, 0.25),
            keras.layers.RandomZoom((-0.5, 0.0), (-0.5, 0.0)),
            keras.layers.RandomBrightness(0.4),
            keras.layers.RandomContrast(0.4),
        ]
    )


def usual_images(folder, image_size, batch_size):
    """A folder of images read by Keras's own utility, at the views' size.

    Args:
        folder: str.
        image_size: int. Side in pixels.
        batch_size: int.

    Returns:
        `tf.data.Dataset` of `[B, S, S, 3]` float32, without end.
    """
    images = keras.utils.image_dataset_from_directory(
        folder,
        labels=None,
        image_size=(image_size, image_size),
        batch_size=None,
        crop_to_aspect_ratio=True,
        verbose=False,
    )
    return images.repeat().batch(batch_size, drop_remainder=True).prefetch(tf.data.AUTOTUNE)
