"""PASCAL VOC's folders: JPEGImages, Annotations, ImageSets."""

import os
import pathlib

from kerassl._errors import UserError
from kerassl._io.text import read_text
from kerassl.datasets.class_names import class_names
from kerassl.datasets.formats.annotated_names import annotated_names
from kerassl.datasets.formats.annotation import make_record, open_picture
from kerassl.datasets.formats.findings import Findings
from kerassl.datasets.formats.unicode_names import by_name, find_file, nfc
from kerassl.datasets.formats.voc_annotation import NoAnnotationError, read_voc_annotation
from kerassl.datasets.formats.voc_classes import VOC_CLASSES
from kerassl.datasets.images.junk import is_junk
from kerassl.datasets.images.reading import SUFFIXES
from kerassl.datasets.subset import subset


def voc_records(
    root,
    year=None,
    split="train",
    *,
    classes=VOC_CLASSES,
    fraction=None,
    count=None,
    stratified=True,
    seed=0,
    strict=False,
    allow_broken=False,
):
    """Reads a VOCdevkit's annotations.

    The image's own size is trusted, as people see it (turned as its EXIF says), and not the one that the XML tells.
    Boxes that reach out of the image are clipped and boxes without an area are left out; each kind is counted and told
    in one line of the log. Images that cannot be opened, and those whose annotation cannot be read, are left out and
    named there one by one; if more than a tenth of the annotations cannot be read, that is an error.

    Boxes are those of the image as people see it. Some tools draw them on the stored image, which EXIF's orientations 5
    to 8 lay on its side: where the XML's size is that of the stored image and not that of the image as people see it,
    its boxes are turned along. Nothing tells the two apart where an image is square, mirrored or upside down, or the
    XML has no size; there the boxes are taken for those of the image as people see it.

    Args:
        root: str or `pathlib.Path`. The VOCdevkit folder, which holds `VOC2007/`, or a folder that holds `JPEGImages/`
            and `Annotations/` itself.
        year: int, or None for the only one that there is.
        split: str, a file of `ImageSets/Main` without its suffix, as "train", "trainval", "val"; or None for every
            image of the folder, which needs no `ImageSets`.
        classes: sequence of str, or file of names (see `yolo_classes`). The names that are allowed; a class is its
            place in this list. Names are the same in all of Unicode's forms.
        fraction: float in (0, 1] or None. Share of the split's images to take.
        count: int or None. Number of the split's images to take, instead of a fraction. Subsets of one seed are
            nested: the images of a smaller one are among those of a larger one, on every machine.
        stratified: bool. Choose the subset so that it has, as nearly as possible, the shares of classes of the whole
            split, for which all its annotations are parsed. False chooses by the ids alone.
        seed: int. Of the subset.
        strict: bool. Stop at the first fault that would be left out or clipped.
        allow_broken: bool. Go on where more than a tenth of the annotations cannot be read.

    Returns:
        List of `Record`, sorted by image id.

    Raises:
        UserError: if a folder, a split, an image or an annotation is missing, a class is not in the list, or nothing
            or too little can be read; with `strict`, for every faulty box, annotation and image.

    Example:
        >>> records = kerassl.datasets.voc_records("VOCdevkit", 2007, "trainval", fraction=0.1)

    Reference:
        Everingham et al., "The PASCAL Visual Object Classes (VOC) Challenge", 2010.
    """
    classes = class_names(classes)
    folder = voc_folder(root, year)
    images, annotations = folder / "JPEGImages", folder / "Annotations"
    for needed in (images, annotations):
        if not os.path.isdir(needed):
            raise UserError(f"{folder} holds no folder {needed.name}; a VOC folder has JPEGImages and Annotations")
    paths, files = _by_stem(images, SUFFIXES), voc_annotations(folder)
    ids = sorted(paths.keys() | files.keys()) if split is None else _split_ids(folder, split, paths)
    if not ids:
        raise UserError(f"{folder} holds no images, or its split {split!r} is empty; nothing can be read from it")
    labels = (lambda each: annotated_names(files.get(each))) if stratified else None
    chosen = subset(ids, fraction=fraction, count=count, seed=seed, labels=labels)
    _check_pairs(chosen, paths, files, folder)
    findings = Findings(strict, allow_broken)
    records = [_record(each, paths[each], files[each], classes, findings, _mask(folder, each)) for each in chosen]
    records = [record for record in records if record is not None]
    if not records:
        raise UserError(
            f"none of the {len(chosen)} images of {images} can be opened with its annotation; the first: "
            f"{findings.files[0]}"
        )
    findings.tell(files=len(chosen))
    return records


def _record(image_id, image_path, xml_path, classes, findings, mask_path):
    """None where the image or its annotation cannot be read."""
    try:
        things, told = read_voc_annotation(xml_path, classes, findings)
    except NoAnnotationError as error:
        findings.broken(f"{xml_path} {error}", label=True)
        return None
    picture = open_picture(image_path, findings)
    if picture is None:
        return None
    return make_record(image_id, image_path, picture, things, told, findings, xml_path, mask_path, classes)


def voc_folder(root, year=None):
    """The folder that holds `JPEGImages` and `Annotations`.

    Args:
        root, year: see `voc_records`.

    Returns:
        `pathlib.Path`.

    Raises:
        UserError: if there is no such folder, or several years to choose from.
    """
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


def voc_annotations(folder):
    """The XML files of a folder that `voc_folder` gives, by image id: dict from str to `pathlib.Path`."""
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
