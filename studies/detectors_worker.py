"""The worker that measures detectors, for `studies.detectors`."""

from benchmarks import protocol

if __name__ == "__main__":
    protocol.hold_cores()

import importlib.metadata
import time

import kerassl  # before Keras, which it sets up
from benchmarks.tensorflow_worker import fits, labeled_batch

import keras  # isort: skip
import keras_cv  # isort: skip
import numpy as np  # isort: skip
import tensorflow as tf  # isort: skip

CLASSES = kerassl.datasets.VOC_CLASSES


def kerassl_detector(network, image_size, batch_size, kind, stage):
    make = {"retinanet": kerassl.detectors.RetinaNet, "yolov8": kerassl.detectors.YOLOV8}[kind]
    model = make(kerassl.backbones.build(network), CLASSES, image_size=image_size)
    model.compile()
    images, labels = labeled_batch(image_size, batch_size)
    if stage == "train":
        return fits(model, tf.data.Dataset.from_tensors((images, labels)).repeat())
    return _detects(lambda images: kerassl.detectors.decode(model, images), images)


def keras_cv_detector(network, image_size, batch_size, kind, stage):
    """KerasCV's detector as its guides make it, over Keras's own layers."""
    stock = kerassl.backbones.with_keras_layers(kerassl.backbones.build(network))
    backbone = keras_cv.models.Backbone(inputs=stock.input, outputs=stock.output)
    backbone.pyramid_level_inputs = kerassl.backbones.pyramid(stock)
    shared = {"num_classes": len(CLASSES), "bounding_box_format": "xyxy", "backbone": backbone}
    if kind == "retinanet":
        model, losses = keras_cv.models.RetinaNet(**shared), ("smoothl1", "focal")
    else:
        model, losses = keras_cv.models.YOLOV8Detector(**shared, fpn_depth=1), ("ciou", "binary_crossentropy")
    optimizer = keras.optimizers.AdamW(1e-3, weight_decay=1e-4, global_clipnorm=10.0)
    # Left to itself Keras might compile the whole step by XLA, which is several times slower on a CPU.
    model.compile(optimizer=optimizer, box_loss=losses[0], classification_loss=losses[1], jit_compile=False)
    images, labels = labeled_batch(image_size, batch_size)
    if stage == "train":
        return fits(model, tf.data.Dataset.from_tensors((images, labels)).repeat())
    return _detects(lambda images: model.decode_predictions(model(images, training=False), images), images)


def _detects(detect, images):
    run, images = tf.function(detect), tf.constant(images)

    def measure(steps, warmup):
        ends = []
        for _ in range(warmup + steps):
            tf.nest.map_structure(lambda part: part.numpy(), run(images))
            ends.append(time.perf_counter())
        return np.diff(ends[warmup - 1 :]).tolist()

    return measure


CONTENDERS = {"kerassl": kerassl_detector, "KerasCV": keras_cv_detector}


def _versions():
    return {name: importlib.metadata.version(name) for name in ("tensorflow", "keras", "keras-cv")}


if __name__ == "__main__":
    protocol.serve_contenders(CONTENDERS, _versions)
