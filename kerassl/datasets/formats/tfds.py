"""Data sets of tensorflow-datasets that have boxes."""

import dataclasses
import io
import os
import pathlib

import numpy as np

from kerassl._errors import UserError
from kerassl.datasets.formats.annotation import AnnotatedObject, box_text, displayed_size, make_record
from kerassl.datasets.formats.findings import Findings
from kerassl.datasets.images.files import by_file_name, without_suffix
from kerassl.datasets.images.reading import read_header

_VALIDATION = "validation"  # what is "val" elsewhere


class TfdsLabels:
    """A data set of tensorflow-datasets with boxes: one of whose features is a sequence of boxes and labels.

    Args:
        name: str, as `"voc/2007"` or `"coco/2017"`.
        data_dir: folder of prepared data sets, or None for tensorflow-datasets' own.

    Attributes:
        name: str.
        class_names: tuple of str.
        splits: tuple of str, with "val" for "validation".

    Raises:
        UserError: if there is no such data set, it has no boxes, or it is not prepared.
    """

    def __init__(self, name, data_dir=None):
        import tensorflow_datasets  # slow to import, and needed by nobody else

        self.name, self._tfds = name, tensorflow_datasets
        try:
            self._builder = tensorflow_datasets.builder(name, data_dir=None if data_dir is None else str(data_dir))
        except (ValueError, tensorflow_datasets.core.DatasetNotFoundError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise UserError(f"tensorflow-datasets has no {name!r} ({reason}); give its name, as voc/2007") from None
        self._keys = self._box_features(self._builder.info.features)
        if not self._builder.info.splits:
            where = "" if data_dir is None else f", data_dir={str(data_dir)!r}"
            folder = pathlib.Path(self._builder.data_dir).parents[self._builder.info.full_name.count("/")]
            raise UserError(
                f"{name} is not prepared in {folder}; prepare it once with tensorflow_datasets.builder({name!r}{where})"
                ".download_and_prepare(), or name its folder as data_dir"
            )
        objects, _, label = self._keys
        self.class_names = tuple(self._builder.info.features[objects][label].names)
        self.splits = tuple("val" if each == _VALIDATION else each for each in self._builder.info.splits)
        if self._builder.info.file_format is not tensorflow_datasets.core.FileFormat.TFRECORD:
            raise UserError(
                f"{name} is prepared as {self._builder.info.file_format.value} files; prepare it as tfrecord"
            )

    def _box_features(self, features):
        """The names of the features of objects, of their boxes and of their labels."""
        kinds = self._tfds.features
        features = dict(features.items()) if isinstance(features, kinds.FeaturesDict) else {}
        for objects, feature in features.items() if isinstance(features.get("image"), kinds.Image) else ():
            inner = getattr(feature, "feature", None)
            inner = dict(inner.items()) if isinstance(inner, kinds.FeaturesDict) else {}
            boxes = [key for key, each in inner.items() if isinstance(each, kinds.BBoxFeature)]
            labels = [key for key, each in inner.items() if isinstance(each, kinds.ClassLabel)]
            if boxes and labels:
                return objects, boxes[0], "label" if "label" in labels else labels[0]
        raise UserError(f"{self.name} of tensorflow-datasets has no boxes with labels; give one that has, as voc/2007")

    def read(self, split, strict):
        """Read the records of a split.

        Args:
            split: str as tensorflow-datasets takes it, but for "val", or None for every split that has objects.
            strict: see `DetectionDataset.from_voc`.

        Returns:
            List of `Record`, whose paths are places in the TFRecord files of tensorflow-datasets.

        Raises:
            UserError: if there is no such split.
        """
        findings, rows = Findings(strict), []
        for each in self.splits if split is None else (split,):
            found = self._read(_VALIDATION if each == "val" else each, findings)
            if split is not None or any(len(record.boxes) for record in found):
                rows += found
        findings.report(objects=findings.objects)
        return by_file_name(rows)

    def _read(self, split, findings):
        try:
            examples = self._builder.as_dataset(
                split=split,
                decoders={"image": self._tfds.decode.SkipDecoding()},
                read_config=self._tfds.ReadConfig(add_tfds_id=True, try_autocache=False),
            )
        except (KeyError, ValueError) as error:
            known = ", ".join(sorted(self._builder.info.splits))
            reason = str(error).strip("'\"").splitlines()[0]
            raise UserError(f"{self.name} gives no split {split!r} ({reason}); its splits are {known}") from None
        found = (self._record(example, findings) for example in examples.as_numpy_iterator())
        return [record for record in found if record is not None]

    def _record(self, example, findings):
        file, _, number = example["tfds_id"].decode().rpartition("__")
        # An image without a file has the name that tensorflow-datasets gives it.
        name = os.fsdecode(example.get("image/filename", example["tfds_id"]))
        path = f"{pathlib.Path(self._builder.data_path) / file}#{number}"
        header = read_header(io.BytesIO(example["image"]))
        if header is None:
            findings.broken(f"{path} ({name}) is no image that can be read")
            return None
        objects, boxes, labels = self._keys
        objects = example[objects]
        top, left, bottom, right = objects[boxes].T  # float32, each [n], as a share of the stored sides
        # VOC counts pixels from 1 and its corners are inclusive, so that only the first corner moves.
        first = np.float32(self.name.startswith("voc/"))
        height, width = np.float32(header.height), np.float32(header.width)
        boxes = np.stack([left * width - first, top * height - first, right * width, bottom * height], axis=-1)
        boxes = np.clip(boxes, 0, [width, height, width, height])
        labels = objects[labels].tolist()
        difficult, crowd = (objects.get(key, np.zeros(len(labels))) for key in ("is_difficult", "is_crowd"))
        annotated = [
            AnnotatedObject(
                label, tuple(box), bool(hard), f"{path}, {self.class_names[label]} {box_text(box)}", crowd=bool(many)
            )
            for label, box, hard, many in zip(labels, boxes.tolist(), difficult, crowd)
        ]
        stored = (header.width, header.height)
        size, own = displayed_size(header), without_suffix(name)
        record = make_record(own, path, size, annotated, stored, findings, path, self.class_names)
        return dataclasses.replace(record, file=name)
