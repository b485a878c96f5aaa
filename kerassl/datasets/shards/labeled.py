"""Labeled shards as batches for detectors."""

from kerassl.datasets.pipeline.detection import detection_batches
from kerassl.datasets.shards.records import shard_records
from kerassl.resizing import check_image_size


def labeled_shards(
    folder,
    *,
    image_size,
    batch_size,
    fraction=None,
    count=None,
    stratified=True,
    shuffle=False,
    flip=False,
    augmentation=None,
    seed=0,
    strict=False,
):
    """Batches of labeled shards, as KerasCV's detectors take them in `fit`.

    Args:
        folder, fraction, count, stratified, strict: see `shard_records`.
        image_size, batch_size, shuffle, flip, augmentation: see `detection_batches`.
        seed: int. Of the subset, the order, the flips and the augmentation.

    Returns:
        `tf.data.Dataset`; see `detection_batches`.

    Raises:
        UserError: see `shard_records`.

    Example:
        >>> records = kerassl.datasets.voc_records("VOCdevkit", 2007, "trainval")
        >>> kerassl.datasets.write_shards(records, "shards", classes=kerassl.datasets.VOC_CLASSES)
        >>> detector.fit(kerassl.datasets.labeled_shards("shards", image_size=256, batch_size=8), epochs=20)
    """
    check_image_size(image_size)
    subset = {"fraction": fraction, "count": count, "stratified": stratified, "seed": seed}
    records = shard_records(folder, strict=strict, **subset)
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
