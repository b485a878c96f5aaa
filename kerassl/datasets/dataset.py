"""Labeled images of any format as one value: records and the names of their classes."""

from __future__ import annotations

import collections
import collections.abc
import dataclasses
import logging
import os
import re
import typing
from collections.abc import Mapping, Sequence

import numpy as np

from kerassl import augment as _augment
from kerassl._display import printable
from kerassl._errors import UserError
from kerassl._numbers import COUNT, check
from kerassl.datasets.class_names import check_class_names, check_known, check_numbering
from kerassl.datasets.formats.annotation import renumber
from kerassl.datasets.formats.coco import read_coco
from kerassl.datasets.formats.tfds import TfdsLabels
from kerassl.datasets.formats.voc import read_voc
from kerassl.datasets.formats.yolo import read_yolo
from kerassl.datasets.images.files import distinct_names, source_file
from kerassl.datasets.pipeline.detection import detection_batches, single_object_batches
from kerassl.datasets.recognition import read_labels
from kerassl.datasets.record import Record
from kerassl.datasets.shards.reader import read_shards
from kerassl.datasets.subset import choose, choose_groups, subset

if typing.TYPE_CHECKING:
    from kerassl.augment import BoxAugmentation
    from kerassl.datasets.pipeline.resumable import ResumableDataset

log = logging.getLogger("kerassl")

Paths = str | os.PathLike


@dataclasses.dataclass(frozen=True, eq=False)
class DetectionDataset(collections.abc.Sequence):
    """Labeled images and the names of their classes.

    A sequence of `Record`s: iterate over it, take its length, index it with a number for a `Record` or with a slice
    for a smaller data set. The `from_...` methods read a format; records are in the order of their images' file names
    in each of them, so that the same images give the same batches in every format. What is wrong with a file is
    fixed, or its image left out, and reported in the log.

    Args:
        records: sequence of `Record`.
        class_names: sequence of str. `record.classes` are indices into it.
        categories: for data sets of a COCO json: dict from category id to the index of its class, or to None where
            the class is not in `class_names`. `metrics.load_coco_results` takes it.

    Attributes:
        records, class_names, categories: the arguments, the first two as tuples.

    Raises:
        UserError: if `class_names` are not different names, or a record has another class.

    Example:
        >>> labeled = kerassl.datasets.DetectionDataset.from_coco("annotations.json", "photos")
        >>> train, val = labeled.split(val=0.1)
        >>> detector = kerassl.detectors.YOLOV8(backbone, labeled.class_names, image_size=320)
        >>> detector.compile("adamw", learning_rate=1e-3)
        >>> detector.fit(train.batches(320, 16, augment=True), epochs=50)
    """

    records: Sequence[Record]
    class_names: Sequence[str]
    categories: Mapping[int | str, int | None] | None = None

    def __post_init__(self):
        object.__setattr__(self, "records", tuple(self.records))
        object.__setattr__(self, "class_names", tuple(check_class_names(self.class_names)))
        check_numbering(self.records, self.class_names)
        for record in self.records:
            beyond = [label for label in record.classes if not 0 <= label < len(self.class_names)]
            if beyond:
                raise UserError(
                    f"{record.path} has class {beyond[0]}, but there are {len(self.class_names)} class names; "
                    "name them all"
                )

    @classmethod
    def open(
        cls,
        path: Paths,
        images: Paths | None = None,
        *,
        split: str | None = None,
        class_names: Paths | Sequence[str] | None = None,
        strict: bool = False,
        allow_broken: bool = False,
    ) -> DetectionDataset:
        """Read labels of any format, which is recognized by the files.

        What they were taken for is logged. See the `from_...` methods for how each format is read.

        Args:
            path: a VOCdevkit (of one year, or the folder of the year) or another folder of VOC's XML files; a COCO
                json, or a folder with one, or with one of each split; a YOLO `data.yaml`, any other YAML with `names`,
                an `obj.data`, or a folder of images and label files; CVAT's XML, a CSV of boxes or lines of boxes
                (`path x1,y1,x2,y2,class ...`, with numbered classes), or a folder with one or with one of each split;
                a folder of labeled shards; or `"tfds:"` and a name, as `"tfds:coco/2017"`. A CSV has a header that
                names its columns (`filename,width,height,class,xmin,ymin,xmax,ymax`), or rows of
                `path,x1,y1,x2,y2,class`, in continuous pixels; empty cells are an image without boxes.
            images: the folder of the images that the labels name. None looks beside the labels: in the same folder,
                in `images`, `JPEGImages` or `data`, in the folders of those names beside it, and in those of the
                split.
            split: str, a split that the data define themselves (see `own_splits`), as lists in `ImageSets/Main`, as
                `train` and `val` of a `data.yaml`, or as the folders or files `train`, `valid` and `test`. None takes
                all images that are labeled.
            class_names: see `from_voc`. Orders or selects the classes; None takes those of the data, in the order of a
                file of names beside them, else sorted.
            strict, allow_broken: see `from_voc`.

        Returns:
            `DetectionDataset`.

        Raises:
            UserError: if the format is not known, the path holds labels in several formats, or the reader of the
                format raises it.

        Example:
            >>> labeled = kerassl.datasets.DetectionDataset.open("annotations.json", "photos")
            >>> train = kerassl.datasets.DetectionDataset.open("roboflow_export", split="train")
        """
        return cls(*read_labels(path, images, split, class_names, strict, allow_broken))

    @classmethod
    def from_voc(
        cls,
        root: Paths,
        year: int | str | None = None,
        split: str | None = "train",
        *,
        class_names: Paths | Sequence[str] | None = None,
        strict: bool = False,
        allow_broken: bool = False,
    ) -> DetectionDataset:
        """Read the XML files of a VOCdevkit.

        The image's own size is used, not the one in the XML. Boxes are those of the image as it is displayed, rotated
        by its EXIF orientation. Some tools draw boxes on the stored image: where the XML's size is that of the stored
        image, its boxes are rotated too. The two cannot be distinguished where an image is square, mirrored or upside
        down, or the XML has no size; there boxes are taken as those of the displayed image.

        Args:
            root: folder that holds `VOC2007` or another year, or holds `JPEGImages` and `Annotations` itself.
            year: int or str, or None for the only one that is there.
            split: str, a file of `ImageSets/Main` without its suffix, as "train", "trainval" or "val"; or None for
                every image that has an annotation, which needs no `ImageSets`.
            class_names: sequence of str, or a file of names: a YAML with `names`, a text file with one name a line,
                or a folder that holds `data.yaml` or `classes.txt`. The classes to read; objects of others are left
                out, and counted in the log. None takes those that the annotations of the folder have, sorted; or
                `VOC_CLASSES` if the folder is called `VOC2007`, or another year, and has no others.
            strict: bool. Raise an error at the first fault that would be fixed or left out.
            allow_broken: bool. Continue where more than a tenth of the annotations cannot be read, or of the images
                that they name.

        Returns:
            `DetectionDataset`.

        Raises:
            UserError: if a folder, a split, an image or an annotation is missing, or too little can be read.

        Reference:
            Everingham et al., "The PASCAL Visual Object Classes (VOC) Challenge", 2010.
        """
        return cls(*read_voc(root, year, split, class_names, strict, allow_broken))

    @classmethod
    def from_coco(
        cls,
        annotations: Paths,
        images_dir: Paths,
        *,
        class_names: Paths | Sequence[str] | None = None,
        strict: bool = False,
        allow_broken: bool = False,
    ) -> DetectionDataset:
        """Read the boxes of a COCO json.

        Sizes and boxes of images with an EXIF orientation are treated as in `from_voc`. A file name that is absolute,
        or has the images' folder in it, is taken as the file in that folder where only one matches. Images without
        annotations are kept, masks are not read, crowd regions are marked as `crowd`. A record's `image_id` is the
        json's id as str.

        Args:
            annotations: the json file.
            images_dir: the folder to which the json's file names belong.
            class_names: see `from_voc`. The categories to read; objects of others are left out, and counted in the
                log. None takes all, in the order of their ids.
            strict, allow_broken: see `from_voc`.

        Returns:
            `DetectionDataset`, with `categories`.

        Raises:
            UserError: if the json or the folder is missing, the json is no COCO json, it has no category of a name in
                `class_names`, or too little can be read.

        Reference:
            Lin et al., "Microsoft COCO: Common Objects in Context", 2014.
        """
        return cls(*read_coco(annotations, images_dir, class_names, strict, allow_broken))

    @classmethod
    def from_yolo(
        cls,
        images_dir: Paths,
        labels_dir: Paths | None = None,
        *,
        class_names: Paths | Sequence[str] | None = None,
        strict: bool = False,
        allow_broken: bool = False,
    ) -> DetectionDataset:
        """Read images and YOLO's label files.

        A line is `class cx cy w h`, or `class x1 y1 x2 y2 x3 y3 ...` for a polygon, which becomes its bounding box;
        coordinates are shares of the sides of the displayed image. A sixth number of a box, a confidence as detectors
        write it, is dropped. An image without a label file has no objects. A record's `image_id` is its path below
        `images_dir`, as "a/b.jpg".

        Args:
            images_dir: folder of images, with all folders in it.
            labels_dir: the folder that holds `a/b.txt` for the image `a/b.jpg`. None takes `images_dir` with its last
                folder called `images` renamed `labels`, as in `traffic/images/train`; where there is none,
                `images_dir` itself.
            class_names: file of names, which numbers the classes; see `from_voc`. None looks for `data.yaml` or
                `classes.txt` in both folders and up to two above them. Or sequence of str, the classes to read: where
                there is such a file they must be among its names, and objects of others are left out and counted in
                the log; where there is none they are the classes 0, 1, 2, ....
            strict, allow_broken: see `from_voc`.

        Returns:
            `DetectionDataset`.

        Raises:
            UserError: if a folder or the names of the classes are missing, no image has a label file, or too little
                can be read.
        """
        return cls(*read_yolo(images_dir, labels_dir, class_names, strict, allow_broken))

    @classmethod
    def from_tfds(
        cls, name: str = "voc/2007", split: str | None = "train", *, data_dir: Paths | None = None, strict: bool = False
    ) -> DetectionDataset:
        """Read a data set with boxes that tensorflow-datasets has prepared. Nothing is downloaded.

        VOC's boxes are those of `from_voc`: tensorflow-datasets keeps VOC's corners as they are, counted from 1, and
        the pixel is subtracted here. Images are read from where tensorflow-datasets keeps them.

        Args:
            name: "voc/2007", "coco/2017", or another name whose data set has a sequence of boxes with labels.
            split: str as tensorflow-datasets takes it: "train", "validation" (or "val"), "train+validation",
                "train[:10%]"; or None for every split that has objects.
            data_dir: the folder of prepared data sets; None is tensorflow-datasets' own.
            strict: see `from_voc`.

        Returns:
            `DetectionDataset`.

        Raises:
            UserError: if the name or the split is not known, it has no boxes, or is not prepared in `data_dir`.
        """
        found = TfdsLabels(name, data_dir)
        return cls(found.read(split, strict), found.class_names)

    @classmethod
    def from_shards(cls, folder: Paths, *, strict: bool = False) -> DetectionDataset:
        """Read the labels that `write_shards` packed along with the images.

        The records are those that were packed, but for their paths: each names a place in a shard, where
        `batches`, `read_image` and all that predicts find the image. Where images were stored smaller, size and
        boxes are those of the stored image. Records whose checksum is wrong are left out and named in the log.

        Args:
            folder: folder that `write_shards` wrote with labels.
            strict: bool. Raise an error at the first damaged record.

        Returns:
            `DetectionDataset`. Masks are not packed.

        Raises:
            UserError: if the folder holds no complete shards, they have no labels, or all are damaged.
        """
        return cls(*read_shards(folder, strict))

    def __len__(self) -> int:
        return len(self.records)

    @typing.overload
    def __getitem__(self, place: int) -> Record: ...

    @typing.overload
    def __getitem__(self, place: slice) -> DetectionDataset: ...

    def __getitem__(self, place):
        found = self.records[place]
        return self.with_records(found) if isinstance(place, slice) else found

    def __repr__(self) -> str:
        return f"DetectionDataset({len(self)} images, {len(self.class_names)} classes)"

    def with_records(self, records: Sequence[Record]) -> DetectionDataset:
        """Return a data set of other records of the same classes."""
        return dataclasses.replace(self, records=records)

    def numbered_as(self, class_names: Sequence[str], whose: str = "the model") -> DetectionDataset:
        """Number the classes as a model does.

        Args:
            class_names: sequence of str, the names of the model, in its order.
            whose: str. What has these names, for the message.

        Returns:
            `DetectionDataset` of the same objects, with these `class_names`.

        Raises:
            UserError: if an object is of another class; the message names all such classes.
        """
        names = check_class_names(class_names)
        held = np.unique(np.concatenate([np.zeros(0, int), *(record.classes for record in self)]))
        check_known([self.class_names[label] for label in held], names, whose)
        if tuple(names) == self.class_names:
            return self
        categories = None
        if self.categories is not None:
            places = {label: names.index(name) for label, name in enumerate(self.class_names) if name in names}
            categories = {key: None if label is None else places.get(label) for key, label in self.categories.items()}
        return DetectionDataset(renumber(self, self.class_names, names)[0], names, categories)

    def subset(
        self, count: int | None = None, *, fraction: float | None = None, seed: int = 0, stratified: bool = True
    ) -> DetectionDataset:
        """Choose some of the images.

        Subsets of one seed are nested and the same on every machine and in every format: they depend on the seed, the
        names of the image files (without folders, where those differ, and suffix) and the classes alone, not on the
        order of the records.

        Args:
            count: int. Number of images.
            fraction: float in (0, 1]. Share of the images, in place of a number. Neither keeps all.
            seed: int.
            stratified: bool. Keep the shares of the classes as nearly as possible. False chooses by the names alone.

        Returns:
            `DetectionDataset`, in the order of this one.

        Raises:
            UserError: if both are given, one is out of range, or there are fewer images.
        """
        names = self._names()
        held = self._held(names) if stratified else None
        return self._of(names, subset(names, count=count, fraction=fraction, seed=seed, labels=held))

    def split(
        self, *, val: float = 0, test: float = 0, seed: int = 0, group_by: str | None = None
    ) -> tuple[DetectionDataset, ...]:
        """Split into training, validation and test images.

        The split is stratified, the same on every machine and in every format, and depends on the seed, the names of
        the image files as in `subset` (with `group_by` the groups) and the classes alone. The test images do not
        depend on `val`.

        Args:
            val, test: float in (0, 1), share of all images; or int, number of images; or 0 for none.
            seed: int.
            group_by: str, a regular expression that is searched for in the name of each image's file, or in its whole
                path if the expression holds a `/`. Images with the same match stay together, or with the same groups
                `(…)` where the expression has some: `"^(.*)_frame"` keeps the frames of one video together,
                `"([^/]+)/[^/]+$"` the images of one folder. Shares are kept as nearly as the groups allow. An image
                that does not match is its own group.

        Returns:
            Tuple of `DetectionDataset`s: training, then validation and test if they are not 0.

        Raises:
            UserError: if a share is out of range, no image would be left for training, or `group_by` is no regular
                expression, matches no image, or leaves too few groups.

        Example:
            >>> train, val, test = labeled.split(val=0.1, test=0.2, seed=0)
            >>> train, val = videos.split(val=0.2, group_by=r"^([a-z]+)_")
        """
        check(seed=seed)
        sizes = {name: self._size(name, share) for name, share in (("test", test), ("val", val))}
        if sum(sizes.values()) >= len(self):
            raise UserError(
                f"val={val} and test={test} leave none of {len(self)} images for training; give smaller shares"
            )
        names, parts = self._names(), {}
        left, held = names, self._held(names)
        groups = None if group_by is None else self._groups(group_by, names)
        if groups is not None and len(groups) <= sum(map(bool, sizes.values())):
            raise _group_error(
                group_by,
                f"makes {len(groups)} groups of {len(self)} images, too few for one in each part; give another "
                "expression",
            )
        for name, size in sizes.items():
            key = f"split {seed}"
            chosen = set()
            if size and groups is None:
                chosen = set(choose(left, size, key, held))
            elif size and groups is not None:
                chosen = set(choose_groups(groups, size, key, held))
                groups = {group: own for group, own in groups.items() if chosen.isdisjoint(own)}
            parts[name] = self._of(names, chosen)
            left = [each for each in left if each not in chosen]
        return (self._of(names, left), *(parts[name] for name in ("val", "test") if sizes[name]))

    def batches(
        self,
        image_size: int,
        batch_size: int,
        *,
        shuffle: bool = True,
        augment: bool | BoxAugmentation = False,
        **options: typing.Any,
    ) -> ResumableDataset:
        """Make batches of letterboxed images with all their boxes, for the `fit` of a detector.

        Args:
            image_size: int. Side of the square in pixels, a multiple of 32.
            batch_size: int. Images a batch.
            shuffle: bool. Another order each epoch.
            augment: `augment.BoxAugmentation`, or True for one with its default arguments.
            **options: `flip`, `erase`, `difficult`, `seed`, `drop_remainder`, `strict`, `initial_epoch`; see
                `detection_batches`.

        Returns:
            See `detection_batches`.
        """
        made = _augment.BoxAugmentation() if augment is True else augment or None
        return detection_batches(self, image_size, batch_size, shuffle=shuffle, augmentation=made, **options)

    def single_object_batches(
        self,
        image_size: int,
        batch_size: int,
        *,
        shuffle: bool = True,
        augment: bool | BoxAugmentation = False,
        **options: typing.Any,
    ) -> ResumableDataset:
        """Make batches of letterboxed images with their largest object, for the `fit` of a `Localizer`.

        Args:
            image_size, batch_size, shuffle, **options: see `batches`.
            augment: `augment.BoxAugmentation` without mosaics, or True for one that shows 70 % of an object or more.

        Returns:
            See `single_object_batches`.
        """
        made = _augment.BoxAugmentation(min_visibility=0.7) if augment is True else augment or None
        return single_object_batches(self, image_size, batch_size, shuffle=shuffle, augmentation=made, **options)

    def _names(self):
        """The names by which images are chosen: image ids are numbered in another way by each format."""
        ids = [record.image_id for record in self]
        if len(set(ids)) < len(ids):
            doubled = collections.Counter(ids).most_common(1)[0][0]
            raise UserError(f"the image id {doubled!r} is there more than once; give each record an id of its own")
        return distinct_names([source_file(record) for record in self], ids)

    def _of(self, names, chosen):
        chosen = set(chosen)
        return self.with_records([record for name, record in zip(names, self) if name in chosen])

    def _held(self, names):
        return {name: set(record.classes[~record.crowd].tolist()) for name, record in zip(names, self)}

    def _groups(self, group_by, names):
        """Dict from the text of each group to the names of its images."""
        try:
            pattern = re.compile(group_by)
        except (re.error, TypeError, RecursionError, OverflowError) as error:
            raise _group_error(group_by, f"is no regular expression ({error}); give one, as '^(.*)_frame'") from None
        groups, apart = collections.defaultdict(list), []
        for each, record in zip(names, self):
            name = source_file(record).replace(os.sep, "/")
            name = name if "/" in group_by else os.path.basename(name)
            match = pattern.search(name)
            if match is None:
                apart.append(name)
            group = "\0" + each if match is None else "\0\0".join(map(str, match.groups() or [match[0]]))
            groups[group].append(each)
        if len(apart) == len(self):
            raise _group_error(group_by, f"matches no image file, as {apart[0]}; give an expression that does")
        if apart:
            log.warning(
                "group_by %s matches %d images not, each of which is its own group, first %s",
                printable(repr(group_by)), len(apart), printable(apart[0]),
            )  # fmt: skip
        return dict(groups)

    def _size(self, name, share):
        if isinstance(share, float) and 0 < share < 1:
            return max(1, round(share * len(self)))
        if share == 0 and not isinstance(share, bool):
            return 0
        if not COUNT.fits(share):
            raise UserError(f"{name} is {share!r}; give a share between 0 and 1, or a number of images")
        return int(share)


def _group_error(group_by, problem):
    return UserError(f"group_by {group_by!r} {problem}", f"--group-by {group_by!r} {problem}")
