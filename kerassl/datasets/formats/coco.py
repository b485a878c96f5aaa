"""COCO json as batches for detectors."""

from kerassl.datasets.formats.coco_records import coco_records
from kerassl.datasets.pipeline.detection import detection_batches
from kerassl.resizing import check_image_size


def coco(
    annotations,
    images_dir,
    *,
    image_size,
    batch_size,
    classes=None,
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
    """Batches of the images of a COCO json, as KerasCV's detectors take them in `fit`.

    Args:
        annotations, images_dir, classes, fraction, count, stratified, strict, allow_broken: see `coco_records`.
        image_size, batch_size, shuffle, flip, augmentation: see `detection_batches`.
        seed: int. Of the subset, the order, the flips and the augmentation.

    Returns:
        `tf.data.Dataset`; see `detection_batches`.

    Raises:
        UserError: see `coco_records`.

    Example:
        >>> images = kerassl.datasets.coco("train.json", "train", image_size=256, batch_size=8, shuffle=True)
        >>> detector.fit(images, epochs=20)
    """
    check_image_size(image_size)
    records = coco_records(
        annotations,
        images_dir,
        classes=classes,
        fraction=fraction,
        count=count,
        stratified=stratified,
        seed=seed,
        strict=strict,
        allow_broken=allow_broken,
    )
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
