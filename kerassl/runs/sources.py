"""The images and labels of a run, from its configuration."""

from __future__ import annotations

import dataclasses
import logging
import os
import pathlib
from collections.abc import Sequence

from kerassl import datasets
from kerassl._errors import UserError
from kerassl.config.config import Config
from kerassl.datasets import DetectionDataset
from kerassl.datasets.class_names import check_known, read_class_names
from kerassl.datasets.formats.voc import check_in_voc
from kerassl.datasets.images.shard_index import is_shards
from kerassl.datasets.pipeline.stream import check_readable
from kerassl.datasets.subset import subset

log = logging.getLogger("kerassl")


@dataclasses.dataclass(frozen=True)
class Sources:
    """The images and labels of a run.

    Attributes:
        images: list of folders and files to pre-train on.
        train: sequence of `datasets.Record` with the labels that fine-tuning may use.
        test: sequence of `datasets.Record` to score on; no variant has seen them.
        classes: tuple of str.
        generated: Bool. Whether these are toy scenes.
    """

    images: list
    train: Sequence[datasets.Record]
    test: Sequence[datasets.Record]
    classes: tuple
    generated: bool

    def with_labels(self, records: Sequence[datasets.Record]) -> Sources:
        """Return the same with other images to fine-tune on."""
        return dataclasses.replace(self, train=records)


def sources(config: Config, folder: str | os.PathLike, labels: bool = True) -> Sources:
    """Read what `config.data` names; generate scenes into `folder` where it asks for them.

    Args:
        config: `Config`.
        folder: Str or path of the run.
        labels: Bool. Whether labels are needed.

    Returns:
        `Sources`.

    Raises:
        UserError: if nothing is named, or what is named cannot be read.
    """
    data = config.data
    if data.scenes is not None and data.voc is None:
        return _scenes(config, pathlib.Path(folder) / "scenes")
    if data.voc is None:
        if labels:
            raise UserError(
                "no labeled images are named; give --voc a VOCdevkit, or data.voc.root in the configuration"
            )
        if not data.unlabeled:
            raise UserError("no images are named; give --images a folder, or data.unlabeled in the configuration")
        return Sources(list(data.unlabeled), [], [], (), False)
    voc = data.voc
    classes = tuple(voc.classes or datasets.VOC_CLASSES)
    whole = labeled_split(config, voc.train, classes)
    train = whole.subset(voc.count, fraction=voc.fraction, seed=config.seed)
    test = labeled_split(config, voc.test, classes)
    seen = {record.image_id for record in train} & {record.image_id for record in test}
    if seen:
        log.warning(
            "%d of the %d images to score on are trained on too (as %s is in both %s and %s): new images will "
            "score lower; score on another split",
            len(seen), len(test), min(seen), voc.train, voc.test,
        )  # fmt: skip
    images = list(data.unlabeled)
    if data.use_training_images:
        # All of the split, whatever share of its labels is used: pre-training needs none.
        images += [record.path for record in whole]
    return Sources(images, train, test, classes, False)


def open_labels(
    data: str | os.PathLike | DetectionDataset | None,
    data_images: str | os.PathLike | None = None,
    split: str | None = None,
    classes: Sequence[str] | None = None,
    allow_broken_labels: bool | None = None,
    *,
    config: Config | None = None,
    part: str = "test",
    known: Sequence[str] = (),
    whose: str = "the model",
) -> DetectionDataset:
    """Read labeled images of any format.

    Args:
        data: Str or path of the labels; a `DetectionDataset`, which is read already; or None for those of `config`.
        data_images: Str or path of the folder of the images that they name, or None to find it beside them.
        split: Str, the data's own split, or None for all images that are labeled.
        classes: Class names to read, in this order, or a file of them; None takes those of the data.
        allow_broken_labels: Bool. Continue where more than a tenth of the labels cannot be read.
        config: `Config` that has what is None here, or None.
        part: Str, `"train"`, `"val"` or `"test"`: the setting of `config.data`.
        known: Class names of a model, as which the classes are numbered then; empty for none.
        whose: Str. What has these names, for messages.

    Returns:
        `DetectionDataset`.

    Raises:
        UserError: if nothing is named, what is named cannot be read, or it has classes that `known` lacks.
    """
    if config is not None:
        own, classes = getattr(config.data, part), classes or config.data.classes
        allow_broken_labels = config.data.allow_broken_labels if allow_broken_labels is None else allow_broken_labels
        if data is None and own is not None:
            data, data_images, split = own.path, data_images or own.images, split or own.split
    if data is None:
        raise UserError(
            "no labeled images are named; give --data a file or folder of labels, or data.train in the configuration"
        )
    if isinstance(data, DetectionDataset):
        if any(each is not None for each in (data_images, split)):
            raise UserError("data is read already; leave data_images and split out")
        read = data
    else:
        classes = None if classes is None else read_class_names(classes)
        if known and classes:
            check_known(classes, known, whose, "--classes name")
        read = DetectionDataset.open(
            data, data_images, split=split, class_names=classes, allow_broken=bool(allow_broken_labels)
        )
    return read.numbered_as(known, whose) if known else read


def labels_title(
    data: str | os.PathLike | DetectionDataset | None,
    split: str | None = None,
    *,
    config: Config | None = None,
    part: str = "test",
) -> str:
    """Return what the labels that `open_labels` reads are called on a page."""
    if isinstance(data, DetectionDataset):
        return f"{len(data)} images"
    own = None if data is not None or config is None else getattr(config.data, part)
    path, split = (data, split) if own is None else (own.path, split or own.split)
    return pathlib.Path(str(path)).name + (f", {split}" if split else "")


def check_decoded(data: Sources) -> None:
    """Refuse labeled images of which none can be decoded, before anything is trained; it loads TensorFlow.

    Args:
        data: `Sources`.

    Raises:
        UserError: in one line.
    """
    for records in (data.train, data.test):
        check_readable([record.path for record in records])


def labeled_split(config: Config, split: str, classes: Sequence[str]) -> DetectionDataset:
    """Read the labels of a split of `config.data.voc`.

    Args:
        config: `Config`.
        split: Str.
        classes: Sequence of str.

    Returns:
        `datasets.DetectionDataset`.

    Raises:
        UserError: if they cannot be read, or the configuration names a class that no annotation has.
    """
    voc, allow = config.data.voc, config.data.allow_broken_labels
    assert voc is not None
    read = DetectionDataset.from_voc(voc.root, voc.year, split, class_names=classes, allow_broken=allow)
    if voc.classes:
        check_in_voc(voc.classes, voc.root, voc.year)
    return read


def without_labels(data: Sources, count: int, seed: int) -> list[str]:
    """Return files of images that pre-training may use, chosen by the seed, to be read whole.

    Images in shards are shrunk for views: in their place the images with labels are returned.

    Args:
        data: `Sources`.
        count: Int, the largest number of files.
        seed: Int.

    Returns:
        List of paths as str.
    """
    images = [source for source in data.images if not is_shards(source)]
    paths = datasets.image_files(images or [record.path for record in data.train])
    return subset(paths, count=min(count, len(paths)), seed=seed)


def some_labels(config: Config, folder: str | os.PathLike, data: Sources, count: int | None, seed: int):
    """Return the labeled images that a trial of a comparison is trained on.

    They depend on the number and the seed alone, so that all variants are trained on the same images, and those of a
    smaller number are among those of a larger one. Another seed chooses others: the spread over seeds includes the
    effect of the choice.

    Args:
        config: `Config`.
        folder: Str or path of the run.
        data: `Sources`.
        count: Int, or None for all that the configuration names.
        seed: Int.

    Returns:
        `datasets.DetectionDataset`.

    Raises:
        UserError: if there are fewer.
    """
    if count is None:
        return data.train
    root, year, train, _ = _devkit(config, folder)
    allow = config.data.allow_broken_labels
    whole = DetectionDataset.from_voc(root, year, train, class_names=data.classes, allow_broken=allow)
    return whole.subset(count, seed=seed)


def tuning_ids(config: Config, folder: str | os.PathLike, data: Sources, count: int) -> set[str]:
    """Return the ids of the images of the tuning split, on which settings are chosen and no metric is reported.

    Their seed is always 0, so that no seed reports on images that another one was tuned on.
    """
    root, year, _, test = _devkit(config, folder)
    allow = config.data.allow_broken_labels
    whole = DetectionDataset.from_voc(root, year, test, class_names=data.classes, allow_broken=allow)
    return {record.image_id for record in whole.subset(count, seed=0)}


def _devkit(config, folder):
    """Root, year, and the splits to fine-tune and to score on."""
    voc = config.data.voc
    if voc is None:
        return pathlib.Path(folder) / "scenes", 2007, "train", "val"
    return voc.root, voc.year, voc.train, voc.test


def _scenes(config, path):
    made = config.data.scenes
    splits = {"train": made.train, "val": made.val}
    datasets.write_scenes(path, **splits, unlabeled=made.unlabeled, single_object=made.single_object, seed=config.seed)
    classes = tuple(datasets.SCENE_CLASSES)
    train = DetectionDataset.from_voc(path, 2007, "train", class_names=classes)
    test = DetectionDataset.from_voc(path, 2007, "val", class_names=classes)
    images = list(config.data.unlabeled)
    if made.unlabeled:
        images.append(str(path / "unlabeled"))
    if config.data.use_training_images:
        images += [record.path for record in train]
    return Sources(images, train, test, classes, True)
