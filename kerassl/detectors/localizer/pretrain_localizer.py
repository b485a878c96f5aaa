"""A localiser's neck and box head trained before there are labels."""

import copy
import logging
import math

import numpy as np

from kerassl import detectors
from kerassl._errors import UserError
from kerassl._numbers import COUNT, check
from kerassl.detectors.neck_weights import copy_neck
from kerassl.detectors.pseudo_boxes.pretrain_neck import classless, frozen

log = logging.getLogger("kerassl")

_SILENT = 1e-6
"""No feature map of a trained network deviates as little. One at random, whose batch normalisation has met no image, is
orders of magnitude below in prediction but not in training, where what was standardised by that would overflow."""


def pretrain_localizer(
    localizer,
    images,
    *,
    epochs=4,
    batch_size=32,
    learning_rate=1e-3,
    optimizer="adamw",
    groups=50,
    group_weight=0.2,
    cache=None,
    seed=0,
    callbacks=(),
    verbose=1,
):
    """Trains a localiser's neck and box head on boxes without classes, before it is trained on labels.

    `pretrain_neck` for a `Localizer`, on features that are computed once. The localiser's classifier stays as it
    was, as its classes are still to come; so do the backbone and the optimiser. What the classifier will look at is
    made to tell things apart, too: photographs are sorted into groups by the backbone's features, and a classifier of
    these, which is thrown away, learns beside the boxes.

    Args:
        localizer: `detectors.Localizer`. Its neck and box head are learned from new weights, not from their own.
        images: as `pretrain_neck` takes them.
        epochs: int.
        batch_size: int.
        learning_rate: float. The highest of a warm-up over a twentieth of the steps and a cosine to 0; or a schedule.
        optimizer: as `detectors.Localizer.compile` takes it.
        groups: int, into how many groups photographs are sorted; 1 is none.
        group_weight: float. Multiplies the loss of the groups. More of it names better after the labels, and boxes
            worse.
        cache: as `detectors.FrozenFeatures` takes it: 1,000 photographs take 1.1 GiB of a MobileNet at 224 px.
        seed: int. Sets the seed of the whole process: of the weights at the start, the groups, the order and the flips.
        callbacks: Keras callbacks for `fit`.
        verbose: as `fit` takes it; 0 shows no progress bar at all.

    Returns:
        `keras.callbacks.History`. How many weights were moved is logged.

    Raises:
        UserError: if it is no localiser, there is no image or no box, a number is out of range, the loss does not stay
            finite, or the backbone is to be trained too and has learned nothing; the localiser is unchanged then.

    Example:
        >>> localizer = kerassl.detectors.Localizer(backbone, kerassl.datasets.VOC_CLASSES, image_size=224)
        >>> kerassl.detectors.pretrain_localizer(localizer, "photos/")
        >>> features = kerassl.detectors.FrozenFeatures(backbone, records, 224)
        >>> localizer = kerassl.detectors.fit_frozen(features, localizer.class_names, start=localizer)

    Reference:
        Caron et al., "Deep Clustering for Unsupervised Learning of Visual Features", 2018: groups as classes. The boxes
        are those of `pseudo_records`.
    """
    check(seed=seed)
    if not isinstance(localizer, detectors.Localizer):
        raise UserError(f"{type(localizer).__name__} is no detectors.Localizer; a detector's neck is for pretrain_neck")
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
                f"the features of {localizer.backbone.name} are all but 0, it has learned nothing; begin with a "
                "backbone that has, or train neck and head alone (backbone.trainable = False)"
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
    """Sorts photographs by their mean features at the deepest level: spherical k-means on up to 64 components."""
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
    if len(kinds) <= count:  # as features that say nothing, which k-means cannot part
        return own.reshape(-1).astype(np.int32)
    return kmeans2(points, count, minit="++", seed=seed, iter=50)[1].astype(np.int32)


def _unit(points):
    return points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)
