"""YOLO's text files as batches for detectors."""

from kerassl.datasets.formats.yolo_records import yolo_records
from kerassl.datasets.pipeline.detection import detection_batches
from kerassl.resizing import check_image_size


def yolo(
    images_dir,
    labels_dir=None,
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
    """Batches of images with YOLO's label files, as KerasCV's detectors take them in `fit`.

    Args:
        images_dir, labels_dir, classes, fraction, count, stratified, strict, allow_broken: see `yolo_records`.
        image_size, batch_size, shuffle, flip, augmentation: see `detection_batches`.
        seed: int. Of the subset, the order, the flips and the augmentation.

    Returns:
        `tf.data.Dataset`; see `detection_batches`.

    Raises:
        UserError: see `yolo_records`.

    Example:
        >>> images = kerassl.datasets.yolo("traffic/images/train", image_size=256, batch_size=8, shuffle=True)
        >>> detector.fit(images, epochs=20)
    """
    check_image_size(image_size)
    records = yolo_records(
        images_dir,
        labels_dir,
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
