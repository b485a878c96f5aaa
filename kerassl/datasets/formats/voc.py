"""PASCAL VOC's folders: JPEGImages, Annotations, ImageSets."""

import os
import pathlib

from kerassl._errors import UserError
from kerassl._io.file_names import by_name, find_file, nfc
from kerassl._io.text import read_text
from kerassl.datasets.class_names import check_there
from kerassl.datasets.formats.annotation import make_record, read_size
from kerassl.datasets.formats.findings import Findings
from kerassl.datasets.formats.voc_annotation import NoAnnotationError, annotated_names, read_voc_annotation
from kerassl.datasets.images.files import SUFFIXES, by_file_name, is_junk

VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
"""The 20 names of PASCAL VOC in the official order."""


def read_voc(root, year, split, names, strict, allow_broken):
    """Read the records of a VOCdevkit; see `DetectionDataset.from_voc`.

    Returns:
        List of `Record`.
    """
    folder = voc_folder(root, year)
    images, annotations = folder / "JPEGImages", folder / "Annotations"
    for needed in (images, annotations):
        if not os.path.isdir(needed):
            raise UserError(f"{folder} holds no folder {needed.name}; a VOC folder has JPEGImages and Annotations")
    paths, files = _by_stem(images, SUFFIXES), _annotations(folder)
    ids = sorted(paths.keys() | files.keys()) if split is None else _split_ids(folder, split, paths)
    if not ids:
        raise UserError(f"{folder} holds no images, or its split {split!r} is empty; nothing can be read from it")
    _check_pairs(ids, paths, files, folder)
    findings = Findings(strict, allow_broken)
    records = [_record(each, paths[each], files[each], names, findings, _mask(folder, each)) for each in ids]
    records = [record for record in records if record is not None]
    if not records:
        raise UserError(
            f"none of the {len(ids)} images of {images} can be opened with its annotation; the first: "
            f"{findings.files[0]}"
        )
    findings.report(files=len(ids))
    return by_file_name(records)


def names_in_voc(root, year=None):
    """Return the class names of a VOC folder.

    Args:
        root, year: see `DetectionDataset.from_voc`.

    Returns:
        Tuple of str: `VOC_CLASSES` if all objects in the folder are of these, else the names that they have, sorted.
    """
    found = _annotated_names(voc_folder(root, year))
    return VOC_CLASSES if found <= set(VOC_CLASSES) else tuple(sorted(found))


def check_in_voc(names, root, year=None):
    """Refuse class names that no annotation of a VOC folder has, and that it lists no images of.

    Args:
        names: sequence of str.
        root, year: see `DetectionDataset.from_voc`.

    Raises:
        UserError: with the first such name.
    """
    folder = voc_folder(root, year)
    stems = {path.stem for path in (folder / "ImageSets" / "Main").glob("*.txt")}
    parts = (stem.rpartition("_") for stem in stems)  # `cat` of `cat_train.txt` beside `train.txt`
    listed = {nfc(name) for name, _, split in parts if name and split in stems}
    check_there(names, sorted(listed | _annotated_names(folder)), folder)


def _annotated_names(folder):
    if not os.path.isdir(folder / "Annotations"):
        raise UserError(f"{folder} holds no folder Annotations; a VOC folder has JPEGImages and Annotations")
    return set().union(*map(annotated_names, _annotations(folder).values()))


def _record(image_id, image_path, xml_path, names, findings, mask_path):
    """Return None where the image or its annotation cannot be read."""
    try:
        objects, stated_size = read_voc_annotation(xml_path, names, findings)
    except NoAnnotationError as error:
        findings.broken(f"{xml_path} {error}", label=True)
        return None
    size = read_size(image_path, findings)
    if size is None:
        return None
    return make_record(image_id, image_path, size, objects, stated_size, findings, xml_path, names, mask_path)


def voc_folder(root, year=None):
    """Return the folder that holds `JPEGImages` and `Annotations`; see `DetectionDataset.from_voc`."""
    if not os.path.isdir(root):  # an empty path is none
        raise UserError(
            f"there is no folder {str(root)!r}; give the VOCdevkit folder, which holds VOC2007 or another year"
        )
    root = pathlib.Path(root)
    plain = _is_voc(root)
    years = sorted(path.name.removeprefix("VOC") for path in root.glob("VOC*") if _is_voc(path))
    if year is None and plain:
        return root
    if year is None and len(years) == 1:
        year = years[0]
    folder = root / f"VOC{year}"
    if os.path.isdir(folder):
        return folder
    if plain and os.path.basename(os.path.abspath(root)) == folder.name:
        return root
    if year is None and years:
        raise UserError(
            f"{root} holds the years {', '.join(years)}; give one of them",
            f"{root} holds the years {', '.join(years)}; give one of them as --year",
        )
    what = "a year" if year is None else f"VOC{year}"
    if years:
        raise UserError(f"{root} holds no {what}; it holds the years {', '.join(years)}")
    if plain:
        raise UserError(f"{root} holds no {what}, but images itself; leave the year out")
    raise UserError(
        f"{root} holds no {what} nor any other year; give the VOCdevkit folder, which holds VOC2007, or a "
        "folder that holds JPEGImages and Annotations"
    )


def _is_voc(path):
    return os.path.isdir(path / "JPEGImages") or os.path.isdir(path / "Annotations")


def _annotations(folder):
    """Return the XML files by image id."""
    return _by_stem(folder / "Annotations", (".xml",))


def _by_stem(folder, suffixes):
    try:
        inside = sorted(folder.iterdir(), reverse=True)  # of a.jpg and a.png the first by name
    except OSError as error:
        raise UserError(f"{folder} cannot be read ({error.strerror}); allow it to be read") from None
    found = [path for path in inside if path.suffix.lower() in suffixes]
    return by_name({path.stem: path for path in found if not is_junk(path.name)})


def _split_ids(folder, split, known):
    sets = folder / "ImageSets" / "Main"
    path = find_file(sets, f"{split}.txt")
    if path is None:
        names = sorted(file.stem for file in sets.glob("*.txt") if not is_junk(file.name))
        # Files of one class, as car_train, are splits too, but twenty times as many.
        found = [name for name in names if "_" not in name] or names[:10]
        fact = f"{folder} has no split {split!r}"
        if found:
            raise UserError(f"{fact}; it has {', '.join(found)}")
        fact = f"{fact}; there is nothing in {sets}"
        raise UserError(
            f"{fact}; split=None takes every image", f"{fact}; write one image id a line into {sets}/train.txt"
        )
    ids = set()
    for line in read_text(path, "write one image id a line").split("\n"):
        whole = line.strip()
        # A name may hold spaces; some tools write the image's file, or its path.
        for each in (whole, nfc(whole), nfc(_stem(whole))):
            if each in known:
                ids.add(each)
                break
        else:
            fields = line.split()
            # In a class's file a second column says 1, 0 (only difficult ones) or -1 (none).
            if fields and fields[1:] != ["-1"]:
                ids.add(fields[0] if fields[0] in known else nfc(fields[0]))
    return sorted(ids)


def _stem(line):
    name = line.replace("\\", "/").rpartition("/")[2]
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and f".{suffix.lower()}" in SUFFIXES else line


def _check_pairs(ids, paths, files, folder):
    for what, there, place, suffix in (
        ("image", paths, "JPEGImages", ".jpg"),
        ("annotation", files, "Annotations", ".xml"),
    ):
        missing = [each for each in ids if each not in there]
        if missing:
            raise UserError(
                f"{folder / place} has no {what} for {len(missing)} of {len(ids)} ids, first "
                f"{missing[0][:200]}{suffix}; add the files, or take the ids out of the split"
            )


def _mask(folder, image_id):
    return find_file(folder / "SegmentationObject", f"{image_id}.png")
