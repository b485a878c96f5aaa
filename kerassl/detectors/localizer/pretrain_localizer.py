"""Pre-training of a localizer's neck and box head without labels."""

from __future__ import annotations

import copy
import logging
import math
import os
from collections.abc import Sequence

import numpy as np

from kerassl import detectors
from kerassl._compat import keras
from kerassl._errors import UserError
from kerassl._numbers import COUNT, check
from kerassl.datasets.record import Record
from kerassl.detectors.pseudo_boxes.pretrain_neck import classless, frozen
from kerassl.detectors.weights import copy_neck

log = logging.getLogger("kerassl")

_SILENT = 1e-6
"""No feature map of a trained network has so small a deviation. One at random initialization, whose batch normalization
has no statistics yet, is orders of magnitude smaller in prediction but not in training, where it would overflow once
standardized."""


def pretrain_localizer(
    localizer: detectors.Localizer,
    images: str | os.PathLike | Sequence[str | os.PathLike | Record],
    *,
    epochs: int = 4,
    batch_size: int = 32,
    learning_rate: float | keras.optimizers.schedules.LearningRateSchedule = 1e-3,
    optimizer: str | keras.optimizers.Optimizer = "adamw",
    groups: int = 50,
    group_weight: float = 0.2,
    cache: str | os.PathLike | None = None,
    seed: int = 0,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int = 1,
) -> keras.callbacks.History:
    """Train a localizer's neck and box head on boxes without classes, before it is trained on labels.

    `pretrain_neck` for a `Localizer`, on features that are computed once. The localizer's classifier, the backbone and
    the optimizer do not change. The features for the classifier are trained too: images are clustered into groups by
    the backbone's features, and a classifier of these, which is discarded, is trained together with the boxes.

    Args:
        localizer: `detectors.Localizer`. Its neck and box head are trained from new weights, not from their own.
        images: as `pretrain_neck` takes them.
        epochs: int.
        batch_size: int.
        learning_rate: float, the maximum of a warm-up over a twentieth of the steps and a cosine decay to 0; or a
            schedule.
        optimizer: as `detectors.Localizer.compile` takes it.
        groups: int, the number of clusters; 1 is none.
        group_weight: float. Multiplies the loss of the groups. More improves the classification after training on
            labels, and worsens the boxes.
        cache: as `detectors.FrozenFeatures` takes it: 1,000 images take 1.1 GiB of a MobileNet at 224 px.
        seed: int. Sets the seed of the whole process: of the weights at the start, the groups, the order and the flips.
        callbacks: Keras callbacks for `fit`.
        verbose: as `fit` takes it; 0 shows no progress bar at all.

    Returns:
        `keras.callbacks.History`. The number of weights moved is logged.

    Raises:
        UserError: if it is not a localizer, there is no image or no box, a number is out of range, the loss does not
            stay finite, or the backbone is trainable and untrained; the localizer is unchanged then.

    Example:
        >>> localizer = kerassl.detectors.Localizer(backbone, kerassl.datasets.VOC_CLASSES, image_size=224)
        >>> kerassl.detectors.pretrain_localizer(localizer, "photos/")
        >>> features = kerassl.detectors.FrozenFeatures(backbone, records, 224)
        >>> localizer = kerassl.detectors.fit_frozen(features, localizer.class_names, start=localizer)

    References:
        Caron et al., "Deep Clustering for Unsupervised Learning of Visual Features", 2018: groups as classes. The boxes
        are those of `pseudo_records`.
    """
    check(seed=seed)
    if not isinstance(localizer, detectors.Localizer):
        raise UserError(f"{type(localizer).__name__} is no detectors.Localizer; give a detector to pretrain_neck")
    for name, value in (("epochs", epochs), ("groups", groups)):
        if not COUNT.fits(value):
            raise UserError(f"{name} is {value}; give 1 or more")
    records, whole = classless(localizer, images, verbose), bool(localizer.backbone.trainable_weights)
    with localizer.distribute_strategy.scope(), frozen(localizer.backbone):
        features = detectors.FrozenFeatures(
            localizer.backbone,
            records,
            localizer.image_size,
            cache=cache,
            levels=localizer.levels,
            verbose=int(verbose == 1),
        )
        if whole and min(deviation.max() for _, deviation in features.statistics) < _SILENT:
            raise UserError(
                f"the features of {localizer.backbone.name} are almost 0, as of an untrained network; start from a "
                "trained backbone, or train neck and head alone (backbone.trainable = False)"
            )
        groups = min(groups, len(features))
        twin = detectors.fit_frozen(
            _grouped(features, groups, seed),
            [f"group {number}" for number in range(groups)],
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            optimizer=optimizer,
            num_filters=localizer.num_filters,
            class_weight=group_weight,
            seed=seed,
            callbacks=callbacks,
            verbose=verbose,
        )
        if not all(math.isfinite(loss) for loss in twin.history.history["loss"]):
            raise UserError("the loss of the neck became NaN or infinite; lower its learning_rate")
        moved = copy_neck(twin, localizer)
    log.info("%s: %d weights of neck and box head moved, from %d images", localizer.name, len(moved), len(features))
    return twin.history


def _grouped(features, groups, seed):
    """The same features with groups for classes."""
    grouped = copy.copy(features)
    grouped.labels = _groups(features, groups, seed) if groups > 1 else np.zeros(len(features), np.int32)
    return grouped


def _groups(features, count, seed):
    """Cluster images by their mean features at the deepest level: spherical k-means on up to 64 components."""
    from scipy.cluster.vq import kmeans2

    maps = features.maps[-1]
    means = np.concatenate(
        [np.asarray(maps[start : start + 64, 0], np.float64).mean((1, 2)) for start in range(0, len(features), 64)]
    )
    points = means - means.mean(0)
    deviation = points.std(0)
    points = _unit(points / np.maximum(deviation, 0.1 * (np.sqrt(np.mean(np.square(deviation))) or 1.0)))
    left, scale, _ = np.linalg.svd(points - points.mean(0), full_matrices=False)
    points = _unit((left * scale)[:, :64])
    kinds, own = np.unique(points, axis=0, return_inverse=True)
    if len(kinds) <= count:  # constant features, which k-means cannot split
        return own.reshape(-1).astype(np.int32)
    return kmeans2(points, count, minit="++", seed=seed, iter=50)[1].astype(np.int32)


def _unit(points):
    return points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)
