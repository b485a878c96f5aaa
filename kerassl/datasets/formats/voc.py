"""PASCAL VOC's XML files, in its own folders (JPEGImages, Annotations, ImageSets) or in any other."""

import collections
import logging
import os
import pathlib
import re
import typing

from kerassl._display import printable
from kerassl._errors import UserError
from kerassl._io.file_names import by_name, find_file, nfc
from kerassl._io.text import read_text
from kerassl.datasets.class_names import names_beside, read_class_names
from kerassl.datasets.formats.annotation import ClassNumbers, make_record, read_size
from kerassl.datasets.formats.findings import Findings
from kerassl.datasets.formats.places import check_sizes, images_folder, missing_images
from kerassl.datasets.formats.voc_annotation import NoAnnotationError, annotated_names, read_voc_annotation
from kerassl.datasets.images.files import SUFFIXES, by_file_name, files_inside, is_junk

log = logging.getLogger("kerassl")

VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
"""The 20 names of PASCAL VOC in the official order."""

_SETS = os.path.join("ImageSets", "Main")


def read_voc(root, year, split, class_names, strict, allow_broken):
    """Read the records of a VOCdevkit; see `DetectionDataset.from_voc`.

    Returns:
        List of `Record`, and list of class names.
    """
    folder = voc_folder(root, year)
    for needed in ("JPEGImages", "Annotations"):
        if not os.path.isdir(folder / needed):
            raise UserError(f"{folder} holds no folder {needed}; a VOC folder has JPEGImages and Annotations")
    files = files_inside(folder / "Annotations", (".xml",))
    return read_xml(files, folder, folder / "JPEGImages", split, None, class_names, strict, allow_broken)


def read_xml(files, root, images, split, parts, class_names, strict, allow_broken):
    """Read VOC's XML files from any folders.

    Args:
        files: list of str, all XML files of the data set.
        root: `pathlib.Path`, the folder that they are in, or that holds `Annotations`.
        images: folder of the images, or None to look for them beside each folder of XML files.
        split: str or None.
        parts: dict from each split to its `files`; or None where splits are lists in `ImageSets/Main`.
        class_names, strict, allow_broken: see `DetectionDataset.from_voc`.

    Returns:
        List of `Record`, and list of class names.
    """
    if not files:
        raise UserError(f"{root} holds no XML files; nothing can be read from it")
    wanted = None if class_names is None else read_class_names(class_names)
    pairs = _pairs(files, root, images)
    if split is None:
        ids = sorted(pairs.files)
        if pairs.unlabeled:
            first = printable(pairs.unlabeled[0])
            log.warning("%d images without an annotation left out, first %s", len(pairs.unlabeled), first)
    elif parts:
        own = set(parts[split])
        ids = sorted(each for each, file in pairs.files.items() if file in own)
    else:
        ids = _split_ids(root, split, pairs.images)
        if not ids:
            raise UserError(f"{root}: its split {split!r} is empty; nothing can be read from it")
        _check_pairs(ids, pairs, root)
    findings, numbers = Findings(strict, allow_broken), ClassNumbers(wanted)
    masks = root / "SegmentationObject"
    records = [_record(each, pairs, numbers, findings, find_file(masks, f"{each}.png")) for each in ids]
    records = [record for record in records if record is not None]
    if not records:
        raise UserError(
            f"none of the {len(ids)} images of {root} can be opened with its annotation; the first: {findings.files[0]}"
        )
    if images is None:
        check_sizes(root, " and ".join(sorted(set(map(str, pairs.folders.values())))), findings.sizes, len(records))
    findings.report(files=len(ids), images=len(ids), objects=findings.objects)
    chosen = set(ids)
    for each, file in pairs.files.items() if wanted is None else ():
        if each not in chosen:
            numbers.known(annotated_names(file))
    official = VOC_CLASSES if re.fullmatch(r"VOC\d{4}", os.path.basename(os.path.abspath(root))) else ()
    records, names = numbers.finish(records, root, names_beside(root) or official)
    return by_file_name(records), names


class _Pairs(typing.NamedTuple):
    """XML files and images by image id, the folder of images of each XML file, and the images without one."""

    files: dict
    images: dict
    folders: dict
    unlabeled: list


def _pairs(files, root, images):
    base = root / "Annotations" if os.path.isdir(root / "Annotations") else root
    inside = collections.defaultdict(list)
    for file in files:
        inside[os.path.dirname(file)].append(file)
    if len(inside) == 1 and base == root:
        base = next(iter(inside))
    found, listed, left = _Pairs({}, {}, {}, []), {}, {}
    for folder, own in inside.items():
        stems = by_name({pathlib.Path(file).stem: file for file in sorted(own, reverse=True)})
        prefix = os.path.relpath(folder, base)
        place = _images_of(folder, stems, images, listed)
        if place is None:
            raise missing_images(folder, f"first {min(stems)}")
        if place not in listed:
            listed[place] = _by_stem(place, SUFFIXES)
        begin = "" if prefix == "." else pathlib.Path(prefix).as_posix() + "/"
        for names, target in ((stems, found.files), (listed[place], found.images)):
            target.update({begin + stem: path for stem, path in names.items()})
        found.folders.update(dict.fromkeys((begin + stem for stem in stems), place))
        left.setdefault(place, set(listed[place])).difference_update(stems)
    found.unlabeled.extend(str(listed[place][stem]) for place, stems in left.items() for stem in sorted(stems))
    return found


def _images_of(folder, stems, images, listed):
    """The folder of the images of a folder of XML files, or None."""
    if images is not None:
        inner = pathlib.Path(images, os.path.basename(os.path.abspath(folder)))
        return inner if os.path.isdir(inner) else pathlib.Path(images)

    def score(place):
        if place not in listed:
            try:
                listed[place] = _by_stem(place, SUFFIXES)
            except UserError:  # nothing that the user named
                return 0
        return len(stems.keys() & listed[place].keys())

    return images_folder(folder, score, len(stems))


def own_lists(folder):
    """Return the names of the splits in `ImageSets/Main`.

    Args:
        folder: `pathlib.Path`.

    Returns:
        Set of str, without the lists of one class, as car_train.
    """
    found = {file.stem for file in (folder / _SETS).glob("*.txt") if not is_junk(file.name)}
    return {name for name in found if name.rpartition("_")[2] not in found - {name}}


def _record(image_id, pairs, numbers, findings, mask_path):
    """Return None where the image or its annotation cannot be read."""
    file = pairs.files[image_id]
    try:
        annotation = read_voc_annotation(file, numbers.number, findings)
    except NoAnnotationError as error:
        findings.broken(f"{file} {error}", label=True)
        return None
    path = pairs.images.get(image_id) or find_file(pairs.folders[image_id], annotation.file_name or "\0")
    if path is None:
        findings.broken(f"{file} has no image of its name in {pairs.folders[image_id]}", label=True)
        return None
    size = read_size(path, findings)
    if size is None:
        return None
    return make_record(
        image_id, path, size, annotation.objects, annotation.size, findings, file, tuple(numbers), mask_path
    )


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
        given = " or ".join(str(root / f"VOC{each}") for each in years)
        raise UserError(f"{root} holds the years {', '.join(years)}; give one of them: {given}")
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


def _by_stem(folder, suffixes):
    try:
        inside = sorted(folder.iterdir(), reverse=True)  # of a.jpg and a.png the first by name
    except OSError as error:
        raise UserError(f"{folder} cannot be read ({error.strerror}); allow it to be read") from None
    found = [path for path in inside if path.suffix.lower() in suffixes]
    return by_name({path.stem: path for path in found if not is_junk(path.name)})


def _split_ids(folder, split, known):
    sets = folder / _SETS
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


def _check_pairs(ids, pairs, folder):
    for what, there, place, suffix in (
        ("image", pairs.images, "JPEGImages", ".jpg"),
        ("annotation", pairs.files, "Annotations", ".xml"),
    ):
        missing = [each for each in ids if each not in there]
        if missing:
            raise UserError(
                f"{folder / place} has no {what} for {len(missing)} of {len(ids)} ids, first "
                f"{missing[0][:200]}{suffix}; add the files, or take the ids out of the split"
            )
