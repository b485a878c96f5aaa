"""Recognizing the format of labels by their files, and reading them."""

from __future__ import annotations

import collections
import dataclasses
import logging
import os
import pathlib
import re
import typing
from collections.abc import Callable

from kerassl._display import printable
from kerassl._errors import UserError
from kerassl._io.file_names import by_name, find_file
from kerassl._io.text import beginning_of
from kerassl.datasets.class_names import FILES, check_there, names_file, read_class_names, report_left_out
from kerassl.datasets.formats.annotation import renumber
from kerassl.datasets.formats.box_lines import is_box_lines, read_box_lines
from kerassl.datasets.formats.box_table import is_box_table, read_box_table
from kerassl.datasets.formats.coco import read_coco
from kerassl.datasets.formats.cvat import CvatFile, read_cvat
from kerassl.datasets.formats.places import (
    by_split,
    file_split,
    folder_split,
    images_folder,
    missing_images,
    split_name,
)
from kerassl.datasets.formats.tfds import TfdsLabels
from kerassl.datasets.formats.voc import own_lists, read_xml, voc_folder
from kerassl.datasets.formats.yolo import find_names, label_of, read_pairs
from kerassl.datasets.formats.yolo_file import YoloFile
from kerassl.datasets.images.files import SUFFIXES, by_file_name, files_inside, image_files
from kerassl.datasets.images.shard_index import is_shards
from kerassl.datasets.shards.reader import read_shards

log = logging.getLogger("kerassl")

_ACCEPTED = (
    "a VOCdevkit or another folder of VOC XML, a COCO json, a YOLO data.yaml or folder, CVAT's XML, a CSV or lines of "
    "boxes, a folder of labeled shards, or tfds: and a name of tensorflow-datasets, as tfds:voc/2007"
)
_TFDS = "tfds:"
_HEAD = 1_000_000  # bytes of a file by which it is recognized
_FEW = 50  # more files of one suffix in a folder are about one image each
_SAMPLE = 200
_USUAL = ("train", "val", "test")
_SPLIT_FOLDERS = (*_USUAL, "valid", "validation")


class UnknownFormatError(UserError):
    """There are no labels of a format that is known."""


class Labels(typing.NamedTuple):
    """One reading of what is at a path.

    Attributes:
        what: str, the format, for messages.
        where: str or `pathlib.Path` that would be read so alone.
        splits: tuple of str, those that it defines itself.
        read: function of a split or None, class names or None, `strict` and `allow_broken`. Returns a list of
            `Record`, the list of class names, and the categories of a COCO json or None.
    """

    what: str
    where: str | os.PathLike
    splits: tuple
    read: Callable


def read_labels(path, images, split, class_names, strict, allow_broken):
    """Read labels of any format; see `DetectionDataset.open`.

    Returns:
        List of `Record`, list of class names, and the categories of a COCO json or None.
    """
    found = recognize(path, images)
    chosen = split
    if split is not None and split not in found.splits:
        chosen = split_name(split)
        if chosen not in found.splits:
            has = f"it has {', '.join(found.splits)}" if found.splits else "it defines none; leave the split out"
            raise UserError(f"{path} has no split {split!r}; {has}")
    which = "" if chosen is None else f", split {chosen}"
    read = found.read(chosen, class_names, strict, allow_broken)
    log.info("%s is read as %s%s", printable(str(path)), found.what, printable(which))
    return read


def own_splits(path: str | os.PathLike, images: str | os.PathLike | None = None) -> tuple[str, ...]:
    """Return the splits that labeled data define themselves.

    Args:
        path, images: see `DetectionDataset.open`.

    Returns:
        Tuple of str, as `("train", "val", "test")`: those that `DetectionDataset.open` takes as `split`. Empty where
        all images are in one list.

    Raises:
        UserError: if the format is not known.
    """
    return recognize(path, images).splits


def recognize(path: str | os.PathLike, images: str | os.PathLike | None = None) -> Labels:
    """Find out in which format labels are, from the names and the beginnings of files.

    Args:
        path, images: see `DetectionDataset.open`.

    Returns:
        `Labels`.

    Raises:
        UnknownFormatError: if there are no labels of a known format.
        UserError: if there is nothing, or labels of several formats.
    """
    if images is not None and not os.path.isdir(images):
        raise UserError(f"there is no folder {images}; give the folder of the images that the labels name")
    if str(path).startswith(_TFDS):
        return _tfds(str(path).removeprefix(_TFDS), images)
    if not str(path) or not os.path.exists(path):
        raise UnknownFormatError(f"there is no {str(path)!r}; give {_ACCEPTED}")
    path = pathlib.Path(path)
    if not os.path.isdir(path):
        return _file(path, images)
    if is_shards(path):
        return _shards({None: path}, images)
    shards = {split_name(name): path / name for name in _SPLIT_FOLDERS if is_shards(path / name)}
    if shards:
        return _shards(shards, images)
    if any(os.path.isdir(each) for each in path.glob("VOC[0-9]*")) and not os.path.isdir(path / "Annotations"):
        path = voc_folder(path)
    files = _by_suffix(path)
    found = [
        each for find in (_xml, _cvat, _coco, _yolo, _table, _lines) if (each := find(path, files, images)) is not None
    ]
    if not found:
        raise UnknownFormatError(f"{path} holds no labels of a known format ({_summary(files)}); give {_ACCEPTED}")
    if len(found) > 1:
        listed = " and ".join(f"{each.what} ({each.where})" for each in found)
        raise UserError(f"{path} holds {listed}; {_choice(found)}")
    return found[0]


def _choice(found):
    """The advice for a folder that holds labels of several formats."""
    places = [os.path.abspath(each.where) for each in found]
    alone = [
        str(each.where)
        for each, place in zip(found, places)
        if sum(other == place or other.startswith(place + os.sep) for other in places) == 1
    ]
    if len(alone) == len(found):
        return "give the path of one of them"
    choices = [f"give {' or '.join(alone)}"] * bool(alone)
    return ", or ".join([*choices, "move the files of one format into a folder of their own, and give that"])


def _file(path, images):
    suffix, folder = path.suffix.lower(), path.parent
    if suffix == ".json":
        return _coco_of({None: path}, images)
    if suffix == ".csv":
        return _table_of({None: path}, images)
    if suffix == ".xml" and _is_cvat(path):
        return _cvat_of({None: path}, images)
    if suffix == ".txt" and is_box_lines(beginning_of(path, _HEAD)):
        return _lines_of({None: path}, images)
    if suffix in (".yaml", ".yml", ".data"):
        return _yolo_of(path, images)
    if suffix == ".txt" and not _is_names(path):
        raise UnknownFormatError(
            f"{path} is no list of class names, as classes.txt; give the data.yaml or the folder of YOLO's labels, "
            "and the split for a list of its images"
        )
    if suffix in (".txt", ".names", ".labels"):
        found = _yolo_in(folder, _by_suffix(folder), images, path)
        if found is None:
            raise UnknownFormatError(f"{path} is beside no label files of YOLO; give {_ACCEPTED}")
        return found
    if suffix == ".xml":
        raise UserError(f"{path} is one file; give the folder of the XML files, {folder}")
    if suffix in (".zip", ".gz", ".tgz", ".tar", ".7z", ".rar"):
        raise UserError(f"{path} is an archive; unpack it and give its folder")
    raise UnknownFormatError(f"{path} is no file of labels of a known format; give {_ACCEPTED}")


def _by_suffix(folder):
    """The files in a folder and all folders in it, by their suffixes in lower case."""
    found = collections.defaultdict(list)
    for file in files_inside(folder, ""):
        found[os.path.splitext(file)[1].lower()].append(file)
    return found


def _summary(files):
    counts = sorted(((len(own), suffix or "without a suffix") for suffix, own in files.items() if own), reverse=True)
    return ", ".join(f"{count:,} {suffix}" for count, suffix in counts[:5]) or "it is empty"


def _images_in(files):
    return sorted(file for suffix in SUFFIXES for file in files[suffix])


def _few(files):
    """The files of folders that hold few of them: of many, each is about one image."""
    counts = collections.Counter(map(os.path.dirname, files))
    return [file for file in files if counts[os.path.dirname(file)] <= _FEW]


def _sample(values, count=_SAMPLE):
    return values[:: -(-len(values) // count)] if values else []


def _one_each(what, files, folder):
    """The files by the split that their names mean; one file of no split."""
    parts = by_split(files, folder, file_split) if len(files) > 1 else {None: files}
    if not parts or any(len(own) > 1 for own in parts.values()):
        shown = ", ".join(map(str, files[:5])) + (", …" if len(files) > 5 else "")
        raise UserError(f"{folder} holds {len(files)} {what}: {shown}; give one of them")
    return {split: own[0] for split, own in parts.items()}


def _splits(parts):
    return tuple(split for split in parts if split is not None)


def _xml(folder, files, images):
    """VOC's XML files, in any folders."""
    own = files[".xml"]
    if not any(re.search(r"<annotation[\s>]", beginning_of(file, _HEAD)) for file in own[:_FEW]):
        return None
    lists = own_lists(folder)
    parts = {} if lists else by_split(own, folder, folder_split)

    def read(split, class_names, strict, allow_broken):
        return *read_xml(own, folder, images, split, parts, class_names, strict, allow_broken), None

    splits = sorted(lists, key=lambda name: (*(name != each for each in _USUAL), name)) or parts
    where = os.path.commonpath([os.path.dirname(file) for file in own])
    return Labels(f"{len(own):,} XML files of VOC", where, tuple(splits), read)


def _coco(folder, files, images):
    """COCO's json files: one, or one of each split."""
    found = [file for file in _few(files[".json"]) if _is_coco(file)]
    return _coco_of(_one_each("COCO jsons", found, folder), images) if found else None


def _is_coco(path):
    """Whether two of COCO's three keys are at the beginning or the end of a json."""
    if not os.path.isfile(path):  # opening a pipe would wait for a writer
        return False
    try:
        with open(path, "rb") as file:
            content = file.read(_HEAD)
            file.seek(max(os.path.getsize(path) - _HEAD, 0))
            content += file.read(_HEAD)
    except OSError:
        return False
    return sum(f'"{key}"'.encode() in content for key in ("images", "annotations", "categories")) > 1


def _coco_of(parts, images):
    def read(split, class_names, strict, allow_broken):
        chosen = parts if split is None else {split: parts[split]}
        return _merged(
            {each: read_coco(file, images, class_names, strict, allow_broken) for each, file in chosen.items()}
        )

    return Labels("a COCO json" if len(parts) == 1 else "COCO jsons", next(iter(parts.values())), _splits(parts), read)


def _merged(parts):
    """Records of several splits as one, with image ids that also hold the split, as each split has its own."""
    (records, names, categories), *others = parts.values()
    if not others:
        return records, names, categories
    same = all((list(each), ids) == (list(names), categories) for _, each, ids in others)
    names = list(dict.fromkeys(name for _, each, _ in parts.values() for name in each))
    merged = []
    for split, (own, theirs, _) in parts.items():
        own = own if same else renumber(own, theirs, names)[0]
        merged += [dataclasses.replace(record, image_id=f"{split}/{record.image_id}") for record in own]
    return by_file_name(merged), names, categories if same else None


def _table(folder, files, images):
    """CSV tables of boxes: one, or one of each split."""
    found = [file for file in _few(files[".csv"]) if is_box_table(beginning_of(file, _HEAD))]
    return _table_of(_one_each("CSV tables of boxes", found, folder), images) if found else None


def _table_of(parts, images):
    return _listed_of("a CSV of boxes", read_box_table, parts, images)


def _lines(folder, files, images):
    """Lines of boxes: one file, or one of each split."""
    texts = [file for file in _few(files[".txt"]) if not _is_names(file)]
    found = [file for file in texts if is_box_lines(beginning_of(file, _HEAD))]
    return _lines_of(_one_each("files of lines of boxes", found, folder), images) if found else None


def _lines_of(parts, images):
    return _listed_of("lines of boxes", read_box_lines, parts, images)


def _listed_of(what, reader, parts, images):
    def read(split, class_names, strict, allow_broken):
        chosen = [file for each, file in parts.items() if split in (None, each)]
        others = [file for file in parts.values() if file not in chosen]
        return *reader(chosen, images, class_names, strict, allow_broken, others), None

    return Labels(what, next(iter(parts.values())), _splits(parts), read)


def _cvat(folder, files, images):
    """CVAT's XML files: one, or one of each split."""
    found = [file for file in _few(files[".xml"]) if _is_cvat(file)]
    return _cvat_of(_one_each("XML files of CVAT", found, folder), images) if found else None


def _is_cvat(path):
    return re.search(r"<annotations[\s>].*<(meta|image|track)\b", beginning_of(path, _HEAD), re.DOTALL) is not None


def _cvat_of(parts, images):
    files = {split: CvatFile(path) for split, path in parts.items()}
    names = list(dict.fromkeys(name for file in files.values() for name in file.names))
    alone = next(iter(files.values())) if len(files) == 1 else None

    def read(split, *options):
        if alone is not None:
            return *read_cvat([alone], split if split in alone.splits else None, names, images, *options), None
        return *read_cvat(
            [file for each, file in files.items() if split in (None, each)], None, names, images, *options
        ), None

    splits = _splits(files) if alone is None else alone.splits or _splits(files)
    return Labels("CVAT's XML", next(iter(parts.values())), splits, read)


def _yolo(folder, files, images):
    """YOLO's label files, with or without a file that names the images."""
    named = [file for suffix in (".yaml", ".yml") for file in _few(files[suffix]) if _has_names(file, r"names\s*:")]
    named += [file for file in _few(files[".data"]) if _has_names(file, r"names\s*=")]
    if named:
        depth = min(len(pathlib.Path(file).parts) for file in named)
        named = [file for file in named if len(pathlib.Path(file).parts) == depth]
        usual = [file for file in named if os.path.basename(file) in ("data.yaml", "data.yml", "dataset.yaml")]
        named = usual or named
        if len(named) > 1:
            raise UserError(f"{folder} holds several YAMLs of class names: {', '.join(named[:5])}; give one of them")
        return _yolo_of(named[0], images)
    names = [file for suffix in (".txt", ".names", ".labels") for file in files[suffix] if _is_names(file)]
    names = min(names, key=lambda file: (len(pathlib.Path(file).parts), file), default=None)
    return _yolo_in(folder, files, images, names)


def _has_names(path, pattern):
    return re.search("^" + pattern, beginning_of(path, _HEAD), re.MULTILINE) is not None


def _is_names(path):
    name = os.path.basename(path).lower()
    return name in FILES or name.endswith((".names", ".labels"))


def _yolo_of(path, images):
    file = YoloFile(path)

    def read(split, class_names, strict, allow_broken):
        if images is not None:
            pairs = _pairs(file.path.parent, image_files(images), images, split)
        else:
            pairs = _with_ids({image: label_of(image) for image in file.images(split)}, file.path.parent)
        names = _chosen_names(class_names, file.names)
        return *read_pairs(pairs, file.names, path, names, strict, allow_broken), None

    return Labels("YOLO's label files", path, _splits(file.splits), read)


def _yolo_in(folder, files, images, names):
    own = _images_in(files)
    texts = [file for file in files[".txt"] if not _is_names(file)]
    stems = {pathlib.Path(file).stem for file in texts}
    root = folder if images is None else images
    if images is not None:
        own = image_files(images)
    elif not own and texts:
        root = images_folder(folder, lambda each: len(stems & _stems(each)), len(stems))
        own = [] if root is None else image_files(root)
    tried = [image for image in own if pathlib.Path(image).stem in stems] if texts else _sample(own)
    labels = [file for image in tried if os.path.isfile(file := _label(image, root, folder))]
    if root is None or not labels:
        if names is not None and texts and images is None and not own:
            raise missing_images(folder, f"first {texts[0]}")
        return None
    if names is None and not any(map(_is_label, _sample(labels))):
        return None
    parts = by_split(own, root, folder_split)

    def read(split, class_names, strict, allow_broken):
        pairs = _pairs(folder, own, root, split)
        file = names or find_names(folder, root)
        return *read_pairs(pairs, file, folder, _chosen_names(class_names, file), strict, allow_broken), None

    return Labels("YOLO's label files", names or os.path.dirname(labels[0]), _splits(parts), read)


def _pairs(folder, images, root, split):
    """Images and label files, by image id."""
    chosen = [image for image in images if split is None or folder_split(image, root) == split]
    return _with_ids({image: _label(image, root, folder) for image in chosen}, root)


def _label(image, root, folder):
    """The label file of an image: at its place below the folder of labels, or where YOLO looks for it."""
    inner = os.path.splitext(os.path.relpath(image, root))[0] + ".txt"
    found = (find_file(each, inner) for each in (folder, os.path.join(folder, "labels")))
    return next(filter(None, found), None) or label_of(image)


def _with_ids(labels, root):
    inner = {image: pathlib.Path(os.path.relpath(image, root)).as_posix() for image in labels}
    ids = by_name({image if each.startswith("../") else each: image for image, each in inner.items()})
    return {each: (image, labels[image]) for each, image in ids.items()}


def _chosen_names(class_names, file):
    """The names that are asked for: where labels have a file of names, another one orders or selects, too."""
    given = class_names is not None and file is not None and names_file(class_names) is not None
    return read_class_names(class_names) if given else class_names


def _is_label(path):
    """Whether the first line of a file is one of YOLO's."""
    fields = beginning_of(path, _HEAD).lstrip().partition("\n")[0].split()
    try:
        return len(list(map(float, fields))) >= 5
    except ValueError:
        return False


def _stems(folder):
    try:
        return {pathlib.Path(name).stem for name in os.listdir(folder) if name.lower().endswith(SUFFIXES)}
    except OSError:
        return set()


def _shards(parts, images):
    """Labeled shards, or a folder of them for each split."""
    folder = next(iter(parts.values()))
    _refuse_images(folder, images)

    def read_one(part, class_names, strict):
        records, names = read_shards(part, strict)
        return *_selected(records, names, class_names, part), None

    def read(split, class_names, strict, allow_broken):
        chosen = parts if split is None else {split: parts[split]}
        return _merged({each: read_one(part, class_names, strict) for each, part in chosen.items()})

    return Labels("labeled shards", folder, _splits(parts), read)


def _tfds(name, images):
    _refuse_images(_TFDS + name, images)
    found = TfdsLabels(name)

    def read(split, class_names, strict, allow_broken):
        return *_selected(found.read(split, strict), found.class_names, class_names, _TFDS + name), None

    return Labels("a data set of tensorflow-datasets", _TFDS + name, found.splits, read)


def _refuse_images(path, images):
    if images is not None:
        raise UserError(f"{path} holds its images itself; leave out the folder {images}")


def _selected(records, names, class_names, source):
    if class_names is None:
        return records, names
    wanted = read_class_names(class_names)
    check_there(wanted, names, source)
    records, others = renumber(records, names, wanted)
    report_left_out(others, source)
    return records, wanted
