"""The worker that measures with TensorFlow; `benchmarks.step` starts one for each thing that it measures."""

from benchmarks import protocol

if __name__ == "__main__":
    protocol.hold_cores()

import importlib.metadata
import time

import numpy as np

import kerassl  # before Keras, which it sets up
from benchmarks import usual_keras

import keras  # isort: skip
import tensorflow as tf  # isort: skip


class _Clock(keras.callbacks.Callback):
    """Notes when each step ended."""

    def __init__(self):
        super().__init__()
        self.ends = []

    def on_train_batch_end(self, batch, logs=None):
        self.ends.append(time.perf_counter())


def fits(model, batches):
    """Measures `model.fit`, which reads from the start in every round."""

    def measure(steps, warmup):
        clock = _Clock()
        model.fit(batches, epochs=1, steps_per_epoch=warmup + steps, verbose=0, callbacks=[clock])
        return np.diff(clock.ends[warmup - 1 :]).tolist()

    return measure


def _calls(function):
    """Measures a function without arguments."""

    def measure(steps, warmup):
        ends = []
        for _ in range(warmup + steps):
            function()
            ends.append(time.perf_counter())
        return np.diff(ends[warmup - 1 :]).tolist()

    return measure


def whole_step(network, image_size, batch_size, images, replicas=1, **_):
    """kerassl as its README shows it, from the folder to the updated weights."""
    read = _read_size(image_size)
    if replicas == 1:
        scope = tf.distribute.get_strategy().scope()
    else:
        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * replicas
        )
        scope = tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(replicas)]).scope()
    with scope:
        model = kerassl.SimCLR(network, image_size)
        model.compile(kerassl.optimizers.LARS(kerassl.optimizers.scaled_learning_rate(batch_size)))
    return fits(model, kerassl.datasets.image_folder(images, read, batch_size).repeat())


def contrast_step(network, image_size, batch_size, dense=None, **_):
    """A step of SimCLR, or of DenseSimCLR with the arguments `dense`, with its views, of images that are in memory."""
    make = kerassl.SimCLR if dense is None else kerassl.models.DenseSimCLR
    model = make(network, image_size, **(dense or {}))
    model.compile(kerassl.optimizers.LARS(kerassl.optimizers.scaled_learning_rate(batch_size)))
    read = _read_size(image_size)
    images = tf.cast(tf.random.uniform([batch_size, read, read, 3], maxval=256, dtype=tf.int32), tf.uint8)
    return fits(model, tf.data.Dataset.from_tensors(images).repeat())


def usual_step(network, image_size, batch_size, images, **_):
    """The usual Keras example."""
    model = usual_keras.UsualSimCLR(network, image_size)
    # Left to itself Keras might compile the whole step by XLA, which is several times slower on a CPU.
    model.compile(keras.optimizers.Adam(), jit_compile=False)
    return fits(model, usual_keras.usual_images(images, image_size, batch_size))


def bare_encoder(network, image_size, batch_size, **_):
    """The fast backbone alone on two views' worth of noise: forward, backward, optimizer."""
    backbone = kerassl.backbones.build(network)
    optimizer = kerassl.optimizers.LARS(kerassl.optimizers.scaled_learning_rate(batch_size))
    optimizer.build(backbone.trainable_variables)
    views = tf.random.uniform([2 * batch_size, image_size, image_size, 3], maxval=255.0)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(backbone(views, training=True))
        gradients = tape.gradient(loss, backbone.trainable_variables)
        optimizer.apply_gradients(zip(gradients, backbone.trainable_variables))
        return loss

    return _calls(lambda: step().numpy())


def detector_step(network, image_size, batch_size, kind, **_):
    """A detector's own training step, on images and boxes that are in memory."""
    model = _detector(network, image_size, kind)
    return fits(model, tf.data.Dataset.from_tensors(labeled_batch(image_size, batch_size)).repeat())


def bare_detector(network, image_size, batch_size, kind, **_):
    """The network of a detector alone: forward, backward, optimizer."""
    model = _detector(network, image_size, kind)
    model.optimizer.build(model.trainable_variables)
    images = tf.constant(labeled_batch(image_size, batch_size)[0])

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = tf.add_n([tf.reduce_mean(output) for output in tf.nest.flatten(model(images, training=True))])
        gradients = tape.gradient(loss, model.trainable_variables)
        model.optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        return loss

    return _calls(lambda: step().numpy())


def _detector(network, image_size, kind):
    model = getattr(kerassl.detectors, kind)(
        kerassl.backbones.build(network), kerassl.datasets.VOC_CLASSES, image_size=image_size
    )
    model.compile()
    return model


def labeled_batch(image_size, batch_size):
    """Random images, and three boxes each, as detectors take them."""
    draw, shape = np.random.default_rng(0), [batch_size, 3, 2]
    corners = draw.uniform(0, image_size / 2, shape)
    boxes = np.concatenate([corners, corners + draw.uniform(image_size / 8, image_size / 2, shape)], -1)
    classes = draw.integers(0, len(kerassl.datasets.VOC_CLASSES), [batch_size, 3])
    images = draw.uniform(0, 255, [batch_size, image_size, image_size, 3])
    return images.astype("float32"), {"boxes": boxes.astype("float32"), "classes": classes.astype("float32")}


def views_alone(image_size, batch_size, **_):
    """Two views of a batch that is in memory."""
    augmentation = kerassl.augment.SimCLRViews(image_size)
    read = _read_size(image_size)
    images = tf.random.uniform([batch_size, read, read, 3], maxval=255.0)
    counter = iter(range(10**9))

    @tf.function
    def draw(step):
        views = augmentation(images, tf.stack([0, step]))
        return views.first, views.second

    return _calls(lambda: draw(tf.constant(next(counter)))[1].numpy())


def loss_alone(batch_size, dimensions=128, tile_size=None, **_):
    """InfoNCE and its gradient, on embeddings that are in memory."""
    loss = kerassl.losses.InfoNCE() if tile_size is None else kerassl.losses.InfoNCE(tile_size=tile_size)
    first, second = (tf.random.normal([batch_size, dimensions]) for _ in range(2))

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            tape.watch([first, second])
            value = loss(first, second)
        return tape.gradient(value, [first, second])

    return _calls(lambda: step()[1].numpy())


def reading_alone(image_size, batch_size, images, **_):
    """Reading, decoding, scaling and batching."""
    batches = kerassl.datasets.image_folder(images, _read_size(image_size), batch_size).repeat()

    def measure(steps, warmup):
        rows = iter(batches)
        return _calls(lambda: next(rows))(steps, warmup)

    return measure


def _read_size(image_size):
    """A quarter larger than the views, as the README advises, in a size that kerassl takes."""
    return -(-image_size * 5 // 4 // 32) * 32


CONTENDERS = {
    "whole": whole_step,
    "contrast": contrast_step,
    "usual": usual_step,
    "bare": bare_encoder,
    "detector": detector_step,
    "bare detector": bare_detector,
    "views": views_alone,
    "loss": loss_alone,
    "reading": reading_alone,
}


def _draw(folder, count):
    """Generates scenes of the size of VOC's photos, and gives their folder."""
    root = kerassl.datasets.write_scenes(folder, train=0, val=0, unlabeled=count, image_size=(375, 500))
    return str(root / "unlabeled")


def _versions():
    names = ("tensorflow", "keras", "numpy")
    return {**{name: importlib.metadata.version(name) for name in names}, "kerassl": kerassl.__version__}


def _info_nce(first, second, temperatures):
    first, second = np.load(first), np.load(second)
    return [float(kerassl.losses.InfoNCE(value)(first, second)) for value in temperatures]


def main():
    measure = None

    def build(contender, **settings):
        nonlocal measure
        measure = CONTENDERS[contender](**settings)
        return _versions()

    def measured(steps, warmup):
        begun = time.process_time()
        seconds = measure(steps, warmup)
        processor = (time.process_time() - begun) / (steps + warmup)
        return {"seconds": seconds, "processor_seconds": processor, "memory_mib": protocol.peak_memory()}

    protocol.serve({"build": build, "round": measured, "info_nce": _info_nce, "draw": _draw})


if __name__ == "__main__":
    main()
