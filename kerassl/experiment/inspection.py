"""Which files and labels stand where a person points `kerassl inspect` or `kerassl shards`."""

import pathlib
import typing

from kerassl import datasets
from kerassl._errors import UserError
from kerassl.datasets.annotated_names import annotated_names
from kerassl.datasets.shard_index import is_shards, open_index
from kerassl.datasets.yolo_classes import find_yolo_classes
from kerassl.datasets.yolo_records import yolo_labels_dir


class Found(typing.NamedTuple):
    """What is to be inspected.

    Attributes:
        title: str.
        paths: list of str, image files, or images in shards.
        records: list of `datasets.Record`, or None where there are no labels.
        classes: tuple of str.
    """

    title: str
    paths: list
    records: list | None
    classes: tuple


def find(paths, voc, coco, year, split, classes, yolo=False):
    """Finds images, and labels if there are any.

    Args:
        paths: list of str: images or folders of them, or one folder in VOC's form or of shards; with `coco` the folder
            of its images.
        voc: str or None, a folder in VOC's form.
        coco: str or None, a COCO json.
        year, split: those of `datasets.voc_records`, or None.
        classes: list of str or None for all that are named.
        yolo: bool. Whether the one path is a folder of images with YOLO's label files.

    Returns:
        `Found`.

    Raises:
        UserError: if nothing is named or found, or both paths and `voc` are given.
    """
    if coco is not None:
        return _coco(paths, voc, coco, year, split, classes)
    if yolo:
        return _yolo(paths, voc, year, split, classes)
    if voc is not None and paths:
        raise UserError(f"both {paths[0]} and --voc {voc} are named; give one of them")
    if voc is None and not paths:
        raise UserError("nothing is named to inspect; give a folder of images, or --voc a VOCdevkit")
    if voc is None and len(paths) == 1 and is_shards(paths[0]):
        return _shards(pathlib.Path(paths[0]), year, split, classes)
    if voc is None and (len(paths) > 1 or not _is_voc(pathlib.Path(paths[0]))):
        if year is not None or split is not None or classes is not None:
            raise UserError(f"{paths[0]} is no VOCdevkit; --year, --split and --classes are for those")
        title = pathlib.Path(paths[0]).name + (f" and {len(paths) - 1} more" if len(paths) > 1 else "")
        return Found(title, datasets.image_files(paths), None, ())
    root = pathlib.Path(voc if voc is not None else paths[0])
    folder, year = _year(root, year)
    if classes is None:
        classes = _names(folder)
    records = datasets.voc_records(root, year, split, classes=classes)
    # Of a split only what can be opened is known here; the reader has told of the rest.
    paths = datasets.image_files(folder / "JPEGImages") if split is None else [record.path for record in records]
    return Found(f"{folder.name}{'' if split is None else ' ' + split}", paths, records, tuple(classes))


def _coco(paths, voc, coco, year, split, classes):
    if len(paths) != 1 or voc is not None or year is not None or split is not None:
        raise UserError(f"with --coco {coco} give the one folder of its images, and no --voc, --year or --split")
    records = datasets.coco_records(coco, paths[0], classes=classes)
    names = datasets.coco_classes(coco) if classes is None else classes
    return Found(pathlib.Path(coco).stem, [record.path for record in records], records, tuple(names))


def _yolo(paths, voc, year, split, classes):
    if len(paths) != 1 or voc is not None or year is not None or split is not None:
        raise UserError("with --yolo give the one folder of the images, and no --voc, --year or --split")
    folder = pathlib.Path(paths[0])
    records = datasets.yolo_records(folder, classes=classes)
    if classes is None:
        classes = find_yolo_classes(yolo_labels_dir(folder), folder)
    return Found(folder.name, datasets.image_files(folder), records, tuple(classes))


def _shards(folder, year, split, classes):
    if year is not None or split is not None or classes is not None:
        raise UserError(f"{folder} holds shards, which name their classes; leave --year, --split and --classes out")
    index = open_index(folder)
    labelled = index.classes is not None
    records = datasets.shard_records(folder) if labelled else None
    return Found(folder.name, index.names(folder), records, tuple(index.classes) if labelled else ())


def _is_voc(path):
    return (path / "Annotations").is_dir() or any(path.glob("VOC*/Annotations"))


def _year(root, year):
    if year is None and (root / "Annotations").is_dir():
        return root, None
    years = sorted(path.name.removeprefix("VOC") for path in root.glob("VOC*") if (path / "Annotations").is_dir())
    if year is None and len(years) > 1:
        raise UserError(f"{root} holds the years {', '.join(years)}; give one of them as --year")
    year = year if year is not None else years[0] if years else 2007
    return root / f"VOC{year}", year


def _names(folder):
    """The classes that are named, in VOC's order where they are VOC's."""
    files = [path for path in folder.glob("Annotations/*") if path.suffix.lower() == ".xml"]
    names = set().union(*(annotated_names(path) for path in files))
    if names <= set(datasets.VOC_CLASSES):
        return datasets.VOC_CLASSES
    return sorted(names)
