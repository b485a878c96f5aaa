"""Pre-training of a detector's neck and box head without labels."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import math
import os
from collections.abc import Iterator, Sequence

import numpy as np

from kerassl import augment, datasets, optimizers
from kerassl._compat import keras
from kerassl._errors import UserError
from kerassl._numbers import COUNT, check
from kerassl.backbones import weights as backbone_weights
from kerassl.detectors.detector import Detector
from kerassl.detectors.pseudo_boxes.pseudo_records import pseudo_records
from kerassl.detectors.weights import copy_neck

log = logging.getLogger("kerassl")


def pretrain_neck(
    detector: Detector,
    images: str | os.PathLike | Sequence[str | os.PathLike | datasets.Record],
    *,
    epochs: int = 3,
    batch_size: int = 8,
    learning_rate: float | keras.optimizers.schedules.LearningRateSchedule = 1e-3,
    optimizer: str | keras.optimizers.Optimizer = "adamw",
    augmentation: augment.BoxAugmentation | None = None,
    seed: int = 0,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: str | int = "auto",
) -> keras.callbacks.History:
    """Train a detector's neck and box head on boxes without classes, before it is trained on labels.

    A pre-trained backbone leaves neck and head at random initialization. Here they learn to box the foreground: a
    detector of the same architecture with a single class, "object", is trained over the same, frozen backbone. The
    weights of its neck and box head are then copied by name, whole or not at all. The detector's class head, its
    optimizer and the backbone, its `trainable` flags included, do not change.

    Args:
        detector: `Detector`, as `detectors.RetinaNet`. Its neck and box head start from their
            present weights.
        images: a folder, a file or a list of those, which `pseudo_records` draws boxes in by the detector's backbone;
            or a list of `datasets.Record`, whose boxes are learned as they are, whoever drew them, and whose classes
            are not read.
        epochs: int.
        batch_size: int.
        learning_rate: float, the maximum of a warm-up over a twentieth of the steps and a cosine decay to 0; or a
            schedule.
        optimizer: a name that `optimizers.get` knows, or an optimizer.
        augmentation: `augment.BoxAugmentation`, or None for flips alone.
        seed: int. Of the order and of the flips.
        callbacks: Keras callbacks for `fit`.
        verbose: as `fit` takes it; 0 shows no progress bar at all.

    Returns:
        `keras.callbacks.History`, as `fit` returns it. The number of weights moved is logged.

    Raises:
        UserError: if it is not a detector, there is no image or no box, a number is out of range, or the loss does not
            stay finite; the detector is unchanged then.

    Example:
        >>> detector = kerassl.detectors.RetinaNet(backbone, kerassl.datasets.VOC_CLASSES, image_size=256)
        >>> kerassl.detectors.pretrain_neck(detector, "photos/")
        >>> detector.fit(train.batches(256, 8), epochs=20)
    """
    check(seed=seed, batch_size=batch_size)
    if not isinstance(detector, Detector):
        raise UserError(
            f"{type(detector).__name__} is no detector of kerassl; give a detectors.RetinaNet or YOLOV8, "
            "and a localizer to pretrain_localizer"
        )
    if not COUNT.fits(epochs):
        raise UserError(f"epochs is {epochs}; give 1 or more, 3 to 10 suit a neck")
    batches = datasets.detection_batches(
        classless(detector, images, verbose),
        detector.image_size,
        batch_size,
        shuffle=True,
        flip=augmentation is None,
        augmentation=augmentation,
        seed=seed,
    )
    if isinstance(learning_rate, (int, float)):
        steps = batches.steps * epochs
        learning_rate = optimizers.WarmupCosine(learning_rate, steps, steps // 20)
    with detector.distribute_strategy.scope(), frozen(detector.backbone):
        twin = _twin(detector)
        copy_neck(detector, twin)
        twin.compile(optimizer, learning_rate)
        history = twin.fit(batches, epochs=epochs, callbacks=list(callbacks), verbose=verbose, shuffle=False)
        if not all(math.isfinite(loss) for loss in history.history["loss"]):
            raise UserError("the loss of the neck became NaN or infinite; lower its learning_rate")
        moved = copy_neck(twin, detector)
    log.info("%s: %d weights of neck and box head moved, checksum %s", detector.name, len(moved), _short(moved))
    return history


def classless(detector: keras.Model, images, verbose: str | int) -> list[datasets.Record]:
    """Return records with boxes, all of one class."""
    kinds = (list, tuple, datasets.DetectionDataset)
    given = isinstance(images, kinds) and images and all(isinstance(each, datasets.Record) for each in images)
    if not given:
        return pseudo_records(detector.backbone, images, verbose=int(bool(verbose)))
    records = [
        dataclasses.replace(record, classes=np.zeros(len(record.boxes), np.int32))
        for record in images
        if len(record.boxes) and not record.crowd.all()
    ]
    if not records:
        raise UserError(f"none of {len(images)} records has a box; give those of pseudo_records, or a folder of images")
    return records


def _twin(detector):
    """A detector like this one over the same backbone, with a single class."""
    changed = {"backbone": detector.backbone, "class_names": ["object"], "name": f"{detector.name}_of_one_class"}
    config = {**detector.get_config(), **changed}
    del config["trainable"]
    return type(detector)(**config)


@contextlib.contextmanager
def frozen(backbone: keras.Model) -> Iterator[None]:
    """Freeze a backbone within the block; each layer's `trainable` flag is restored afterwards."""
    before = [(layer, layer.trainable) for layer in (backbone, *backbone.layers)]
    backbone.trainable = False
    try:
        yield
    finally:
        for layer, trainable in before:
            layer.trainable = trainable


def _short(table):
    return backbone_weights.checksum(table)[:16]
