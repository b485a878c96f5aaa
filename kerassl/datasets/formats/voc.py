"""PASCAL VOC as batches for detectors."""

from kerassl.datasets.formats.voc_classes import VOC_CLASSES
from kerassl.datasets.formats.voc_records import voc_records
from kerassl.datasets.pipeline.detection import detection_batches
from kerassl.resizing import check_image_size


def voc(
    root,
    year=None,
    split="train",
    *,
    image_size,
    batch_size,
    classes=VOC_CLASSES,
    fraction=None,
    count=None,
    stratified=True,
    shuffle=False,
    flip=False,
    augmentation=None,
    seed=0,
    strict=False,
    allow_broken=False,
):
    """Batches of a VOCdevkit, as KerasCV's detectors take them in `fit`.

    Args:
        root, year, split, classes, fraction, count, stratified, strict, allow_broken: see `voc_records`.
        image_size, batch_size, shuffle, flip, augmentation: see `detection_batches`.
        seed: int. Of the subset, the order, the flips and the augmentation.

    Returns:
        `tf.data.Dataset`; see `detection_batches`.

    Raises:
        UserError: see `voc_records`.

    Example:
        >>> detector.fit(kerassl.datasets.voc("VOCdevkit", 2007, "trainval", image_size=256, batch_size=8), epochs=20)
    """
    check_image_size(image_size)
    subset = {"fraction": fraction, "count": count, "stratified": stratified, "seed": seed}
    records = voc_records(root, year, split, classes=classes, strict=strict, allow_broken=allow_broken, **subset)
    return detection_batches(
        records,
        image_size,
        batch_size,
        shuffle=shuffle,
        flip=flip,
        augmentation=augmentation,
        seed=seed,
        strict=strict,
    )
