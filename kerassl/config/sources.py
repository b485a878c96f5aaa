"""The images and labels of a run, from its configuration."""

from __future__ import annotations

import dataclasses
import logging
import os
import pathlib
from collections.abc import Sequence
from typing import Any

from kerassl import augment, datasets
from kerassl._display import verbosity
from kerassl._errors import UserError
from kerassl.config.config import Config
from kerassl.config.schema import Data, Finetune, HeldOut
from kerassl.datasets import DetectionDataset
from kerassl.datasets.class_names import check_known, read_class_names
from kerassl.datasets.duplicates import warn_of_leakage
from kerassl.datasets.images.files import distinct_names, image_names
from kerassl.datasets.images.shard_index import is_shards
from kerassl.datasets.pipeline.stream import check_readable
from kerassl.datasets.recognition import recognize
from kerassl.datasets.subset import subset

log = logging.getLogger("kerassl")

_NO_LABELS = "no labeled images are named; give --data a file or folder of labels, or data.train in the configuration"


@dataclasses.dataclass(frozen=True)
class Sources:
    """The images and labels of a run.

    Attributes:
        images: List of folders and files to pre-train on.
        train: `DetectionDataset` with the labels that fine-tuning may use.
        val: `DetectionDataset` that the best epoch is chosen on, or None.
        test: `DetectionDataset` to score on: images that no variant has seen, or those of `val` where there are none.
        generated: Bool. Whether these are toy scenes.
    """

    images: list
    train: DetectionDataset
    val: DetectionDataset | None
    test: DetectionDataset
    generated: bool = False

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names."""
        return tuple(self.train.class_names)

    @property
    def unseen(self) -> bool:
        """Whether `test` is other images than those that epochs are chosen on."""
        return self.test is not self.val

    def with_labels(self, records: DetectionDataset) -> Sources:
        """Return the same with other images to fine-tune on."""
        return dataclasses.replace(self, train=records)

    def describe(self) -> str:
        """Return in words how many labeled images there are for what."""
        text = f"{len(self.train)} labeled images to train on"
        if not self.unseen:
            return f"{text}, {len(self.test)} to validate and to score on: new images will score lower"
        text += "" if self.val is None else f", {len(self.val)} to validate on"
        return f"{text}, {len(self.test)} others to score on"


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
    if data.train is None and data.scenes is not None:
        return _scenes(config, pathlib.Path(folder) / "scenes")
    if data.train is None:
        if labels:
            raise UserError(_NO_LABELS)
        if not data.unlabeled:
            raise UserError("no images are named; give --images a folder, or data.unlabeled in the configuration")
        nothing = DetectionDataset([], ["none"])
        return Sources(list(data.unlabeled), nothing, None, nothing)
    whole, val, test = labeled_parts(config.data)
    train = whole.subset(data.count, fraction=data.fraction, seed=config.seed)
    found = Sources(list(data.unlabeled), train, val, val if test is None else test)
    if labels:
        _check_parts(found)
    if data.use_training_images:
        # All of the images, whatever share of their labels is used: pre-training needs none.
        found.images.extend(record.path for record in whole)
    return found


def check_paths(data: Data) -> None:
    """Refuse paths at which there are no images or labels, without reading them.

    Args:
        data: The section `data`.

    Raises:
        UserError: in one line.
    """
    for part in (data.train, data.val, data.test):
        if part is not None and part.path is not None:
            recognize(part.path, part.images)
    if data.unlabeled:
        image_names(data.unlabeled)


def labeled_parts(data):
    """Return the labeled images to train, to choose and to score on, the latter two None where there are none."""
    train, named = data.train, {"val": data.val, "test": data.test}
    own = datasets.own_splits(train.path) if train.split is None and None in named.values() else ()
    if "train" in own:
        given = [(part.path, part.split) for part in named.values() if part is not None]
        train = train.model_copy(update={"split": "train"})
        for name in named:
            if named[name] is None and name in own and (train.path, name) not in given:
                named[name] = HeldOut(**{**train.model_dump(), "split": name})
    if not any(named.values()):
        named = {"val": HeldOut(share=0.1), "test": HeldOut(share=0.2)}
    allow = data.allow_broken_labels
    whole = open_labels(train.path, train.images, train.split, data.classes, allow)
    shares = {name: part.share for name, part in named.items() if part is not None and part.share is not None}
    found: dict[str, Any] = dict.fromkeys(named)
    if shares:
        # The seed is always 0, so that no seed scores images that another one was trained on or chosen by.
        whole, *rest = whole.split(**shares, seed=0, group_by=data.group_by)
        found |= zip((name for name in named if name in shares), rest)
    for name, part in named.items():
        if part is not None and part.path is not None:
            # Of the same path the names are known; other labels may lack some of them.
            classes, known = (whole.class_names, ()) if part.path == train.path else (data.classes, whole.class_names)
            own = {"known": known, "whose": "the data set to train on"}
            found[name] = open_labels(part.path, part.images, part.split, classes, allow, **own)
    return whole, found["val"], found["test"]


def _check_parts(data):
    """Refuse parts without an object."""
    for use, records in {"train": data.train, "validate": data.val, "score": data.test}.items():
        if records is not None and not any(record.largest() is not None for record in records):
            raise UserError(f"none of the {len(records)} images to {use} on has an object to be found; give others")


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
    given = any(each is not None for each in (data_images, split, classes))
    settings = Data() if config is None else config.data
    classes = settings.classes if classes is None else read_class_names(classes)
    allow = settings.allow_broken_labels if allow_broken_labels is None else allow_broken_labels
    if known and classes:
        check_known(classes, known, whose, "--classes name")
    if isinstance(data, DetectionDataset):
        if given:
            raise UserError("data is read already; leave data_images, split and classes out")
        read = data
    elif data is None:
        settings = settings.model_copy(update={"classes": classes, "allow_broken_labels": allow})
        read = _of_part(settings, part, data_images, split)
    else:
        if config is not None and part == "test" and split is None:
            _warn_of_training_images(data)
        read = DetectionDataset.open(data, data_images, split=split, class_names=classes, allow_broken=allow)
    return read.numbered_as(known, whose) if known else read


def _warn_of_training_images(path):
    own = datasets.own_splits(path)
    if "train" in own and len(own) > 1:
        other = next((name for name in ("test", "val") if name in own), own[-1])
        log.warning("%s has the splits %s, and all of them are read; give --split %s to leave training images out",
                    path, ", ".join(own), other)  # fmt: skip


def _of_part(data, part, images, split):
    """The labels of a part of a section `data`, or of another split of what it names."""
    own = _named(data, part)
    if split is None and images is None and own is data.train:
        train, val, test = labeled_parts(data)
        found = {"train": train, "val": val, "test": val if test is None else test}[part]
        if found is not None:
            return found
    return open_labels(own.path, images or own.images, split or own.split, data.classes, data.allow_broken_labels)


def _named(data, part):
    """The labels that a section `data` names for a part, or those to train on, of which it is a split or a share."""
    own = getattr(data, part)
    own = data.train if own is None or own.path is None else own
    if own is None:
        raise UserError(_NO_LABELS)
    return own


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
    if data is None and config is not None:
        own = _named(config.data, part)
        data, split = own.path, split or own.split or (part if own is config.data.train else None)
    return pathlib.Path(str(data)).name + (f", {split}" if split else "")


def check_images(data: Sources) -> None:
    """Refuse labeled images of which none can be decoded, and report copies, before anything is trained.

    It loads TensorFlow.

    Args:
        data: `Sources`.

    Raises:
        UserError: in one line.
    """
    for records in (data.train, data.val, data.test):
        if records is not None:
            check_readable([record.path for record in records])
    if not data.generated:
        warn_of_leakage(data.train, data.val or (), data.test if data.unseen else (), progress=verbosity() == 1)


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
    return some_files(datasets.image_files(images or [record.path for record in data.train]), count, seed)


def some_files(paths: Sequence[str], count: int, seed: int) -> list[str]:
    """Choose files by the seed and by their names, without folders where those differ, as `DetectionDataset.subset`.

    Args:
        paths: Sequence of different str.
        count: Int, the largest number of files.
        seed: Int.

    Returns:
        Sorted list of str.
    """
    named = dict(zip(distinct_names(paths, paths), paths))
    return sorted(named[name] for name in subset(list(named), count=min(count, len(named)), seed=seed))


def some_labels(data: Sources, count: int | None, seed: int) -> DetectionDataset:
    """Return the labeled images that a trial of a comparison is trained on.

    They depend on the number and the seed alone, so that all variants are trained on the same images, and those of a
    smaller number are among those of a larger one. Another seed chooses others: the spread over seeds includes the
    effect of the choice.

    Args:
        data: `Sources`.
        count: Int, or None for all that the configuration names.
        seed: Int.

    Raises:
        UserError: if there are fewer.
    """
    return data.train if count is None else data.train.subset(count, seed=seed)


def _scenes(config, path):
    made = config.data.scenes
    datasets.write_scenes(path, **made.model_dump(), seed=config.seed)
    names = made.classes or datasets.SCENE_CLASSES
    train, val, test = (
        DetectionDataset.from_voc(path, 2007, split, class_names=names) if getattr(made, split) else None
        for split in ("train", "val", "test")
    )
    images = list(config.data.unlabeled)
    if made.unlabeled:
        images.append(str(path / "unlabeled"))
    if config.data.use_training_images:
        images += [record.path for record in train]
    if test is None:  # a comparison chooses no epoch on the images that it scores on
        val, test = None, val
    return Sources(images, train, val, test, generated=True)


def training_batches(section: Finetune, task: str, records: Sequence[datasets.Record], seed: int, **changes):
    """Return the batches that a localizer or a detector is trained on.

    Args:
        section: The section of the task.
        task: `"localizer"` or `"detector"`.
        records: Sequence of `datasets.Record`.
        seed: Int, of order and augmentation.
        **changes: Those of `datasets.detection_batches`, over what the section says.

    Returns:
        `tf.data.Dataset`.
    """
    made = section.augmentation and augment.BoxAugmentation(**section.augmentation.model_dump())
    settings: dict[str, Any] = {
        "shuffle": True,
        "flip": made is None,
        "augmentation": made,
        "seed": seed,
        "erase": section.erase,
    }
    settings |= changes
    read = datasets.single_object_batches if task == "localizer" else datasets.detection_batches
    return read(records, section.image_size, settings.pop("batch_size", section.batch_size), **settings)
