"""Recognizing the format of labels by their files, and reading them."""

import logging
import os
import pathlib

from kerassl._errors import UserError
from kerassl.datasets.class_names import FILES, read_class_names
from kerassl.datasets.formats.coco import read_coco
from kerassl.datasets.formats.tfds import SPLITS, read_tfds
from kerassl.datasets.formats.voc import VOC_CLASSES, names_in_voc, read_voc, voc_folder
from kerassl.datasets.formats.yolo import read_yolo
from kerassl.datasets.images.files import is_junk
from kerassl.datasets.images.shard_index import is_shards
from kerassl.datasets.shards.reader import read_shards

log = logging.getLogger("kerassl")

_ACCEPTED = (
    "a VOCdevkit or a folder with JPEGImages and Annotations, a COCO json, a YOLO folder (images, labels and data.yaml "
    "or classes.txt), labeled shards, or tfds:voc/2007"
)
_TFDS = "tfds:"


def read_labels(path, images, split, class_names, strict, allow_broken):
    """Read labels of any format; see `DetectionDataset.open`.

    Returns:
        List of `Record`, list of class names, and the categories of a COCO json or None.
    """
    kind = _kind(path)
    log.info("%s is read as %s", path, _DESCRIPTIONS[kind])
    if kind == "tfds":
        name = str(path).removeprefix(_TFDS)
        chosen = {"val": "validation", None: "+".join(map(_tfds_split, SPLITS.get(name, ())))}.get(split, split)
        return read_tfds(name, chosen, None, strict), VOC_CLASSES, None
    if kind == "shards":
        return *read_shards(path, strict), None
    if kind == "coco":
        path = pathlib.Path(path)
        beside = path.parent if images is None else images
        for each in () if images is not None else ("images", "JPEGImages", "../images", f"../{path.stem}"):
            if os.path.isdir(path.parent / each):
                beside = path.parent / each
                break
        return read_coco(path, beside, class_names, strict, allow_broken)
    if kind == "yolo":
        root = pathlib.Path(path)
        folder = root / "images" if os.path.isdir(root / "images") else root
        if split is not None:
            folder /= split
        return *read_yolo(folder, None, class_names, strict, allow_broken), None
    folder = voc_folder(path)
    names = names_in_voc(folder) if class_names is None else read_class_names(class_names)
    return read_voc(folder, None, split, names, strict, allow_broken), names, None


def own_splits(path: str | os.PathLike) -> tuple[str, ...]:
    """Return the splits that labeled data define themselves.

    Args:
        path: see `DetectionDataset.open`.

    Returns:
        Tuple of str, as `("train", "val", "test")`: those that `DetectionDataset.open` takes as `split`. Empty where
        all images are in one list.
    """
    kind = _kind(path)
    if kind == "tfds":
        return SPLITS.get(str(path).removeprefix(_TFDS), ())
    if kind == "voc":
        folder = voc_folder(path) / "ImageSets" / "Main"
        found = {file.stem for file in folder.glob("*.txt") if not is_junk(file.name)}
        # Files of one class, as car_train, are no splits of the data.
        return _ordered(name for name in found if name.rpartition("_")[2] not in found - {name})
    if kind == "yolo":
        folder = pathlib.Path(path, "images")
        return _ordered(name for name in ("train", "val", "test") if os.path.isdir(folder / name))
    return ()


def _ordered(names):
    usual = ("train", "val", "test")
    return tuple(sorted(names, key=lambda name: (usual.index(name) if name in usual else len(usual), name)))


def _tfds_split(name):
    return "validation" if name == "val" else name


_DESCRIPTIONS = {
    "tfds": "a data set of tensorflow-datasets",
    "shards": "labeled shards",
    "coco": "a COCO json",
    "yolo": "a YOLO folder",
    "voc": "a VOC folder",
}


def _kind(path):
    if isinstance(path, str) and path.startswith(_TFDS):
        return "tfds"
    if not os.path.exists(path):
        raise UserError(f"there is no {path}; give {_ACCEPTED}")
    path = pathlib.Path(path)
    if path.suffix.lower() == ".json":
        return "coco"
    if os.path.isdir(path):
        if is_shards(path):
            return "shards"
        if any(os.path.isdir(path / name) for name in ("JPEGImages", "Annotations")) or any(path.glob("VOC*")):
            return "voc"
        if os.path.isdir(path / "labels") or any(os.path.isfile(path / name) for name in FILES):
            return "yolo"
    raise UserError(f"{path} is no labels of a known format; give {_ACCEPTED}")
