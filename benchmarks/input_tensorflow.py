"""The worker that measures reading and views with TensorFlow, for `benchmarks.input`."""

from benchmarks import protocol

if __name__ == "__main__":
    protocol.hold_cores()

import importlib.metadata
import time

import kerassl  # before Keras, which it sets up
from benchmarks import input_rows, usual_keras

import numpy as np  # isort: skip
import tensorflow as tf  # isort: skip


def kerassl_views(image_size, batch_size, images, stage):
    """`image_folder` at a quarter larger than the views, and `SimCLRViews`, as the README advises."""
    views = kerassl.augment.SimCLRViews(image_size)
    read = input_rows.read_size(image_size)
    if stage == "jpeg":
        return _reads(kerassl.datasets.image_folder(images, read, batch_size, augmentation=views).repeat())
    batch = next(iter(kerassl.datasets.image_folder(images, read, batch_size)))
    return _calls(tf.function(lambda step: views(batch, tf.stack([0, step]))[:2]))


def keras_views(image_size, batch_size, images, stage):
    """The usual layers, twice; read at the views' size, as usual."""
    layers = usual_keras.usual_layers(image_size)
    batches = usual_keras.usual_images(images, image_size, batch_size)

    def views(batch):
        return layers(batch, training=True), layers(batch, training=True)

    if stage == "jpeg":
        return _reads(batches.prefetch(1).map(views))
    batch = next(iter(batches))
    return _calls(tf.function(lambda step: views(batch)))


def _reads(batches):
    """Measures reading, which starts afresh in every round."""

    def measure(steps, warmup):
        rows = iter(batches)
        return _calls(lambda step: next(rows))(steps, warmup)

    return measure


def _calls(function):
    """Measures a function of the step's number to two batches of views."""

    def measure(steps, warmup):
        ends = []
        for step in range(warmup + steps):
            function(tf.constant(step))[1].numpy()
            ends.append(time.perf_counter())
        return np.diff(ends[warmup - 1 :]).tolist()

    return measure


CONTENDERS = {"kerassl": kerassl_views, "keras": keras_views}


def _versions():
    return {name: importlib.metadata.version(name) for name in ("tensorflow", "keras")}


if __name__ == "__main__":
    protocol.serve_contenders(CONTENDERS, _versions)
