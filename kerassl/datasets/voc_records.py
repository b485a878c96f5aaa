"""PASCAL VOC's folders: JPEGImages, Annotations, ImageSets."""

import pathlib

from kerassl._errors import UserError
from kerassl.datasets.annotated_names import annotated_names
from kerassl.datasets.annotation import make_record, open_picture
from kerassl.datasets.class_names import check_class_names
from kerassl.datasets.findings import Findings
from kerassl.datasets.images import SUFFIXES
from kerassl.datasets.subset import subset
from kerassl.datasets.voc_annotation import NoAnnotationError, read_voc_annotation
from kerassl.datasets.voc_classes import VOC_CLASSES


def voc_records(
    root,
    year=2007,
    split="train",
    *,
    classes=VOC_CLASSES,
    fraction=None,
    count=None,
    stratified=True,
    seed=0,
    strict=False,
):
    """Reads a VOCdevkit's annotations.

    The image's own size is trusted, as people see it (turned as its EXIF says), and not the one that the XML tells.
    Boxes that reach out of the image are clipped and boxes without an area are left out; each kind is counted and told
    in one line of the log. Images that cannot be opened, and those whose annotation cannot be read, are left out and
    named there one by one.

    Boxes are those of the image as people see it. Some tools draw them on the stored image, which EXIF's orientations 5
    to 8 lay on its side: where the XML's size is that of the stored image and not that of the image as people see it,
    its boxes are turned along. Nothing tells the two apart where an image is square, mirrored or upside down, or the
    XML has no size; there the boxes are taken for those of the image as people see it.

    Args:
        root: str or `pathlib.Path`. The VOCdevkit folder, which holds `VOC2007/`.
        year: int, or None where `root` itself holds `JPEGImages/` and `Annotations/`.
        split: str, a file of `ImageSets/Main` without its suffix, as "train", "trainval", "val"; or None for every
            image of the folder, which needs no `ImageSets`.
        classes: sequence of str. The names that are allowed; a class is its place in this list.
        fraction: float in (0, 1] or None. Share of the split's images to take.
        count: int or None. Number of the split's images to take, instead of a fraction. Subsets of one seed are
            nested: the images of a smaller one are among those of a larger one, on every machine.
        stratified: bool. Choose the subset so that it has, as nearly as possible, the shares of classes of the whole
            split, for which all its annotations are parsed. False chooses by the ids alone.
        seed: int. Of the subset.
        strict: bool. Stop at the first fault that would be left out or clipped.

    Returns:
        List of `Record`, sorted by image id.

    Raises:
        UserError: if a folder, a split, an image or an annotation is missing, a class is not in the list, or nothing
            can be read; with `strict`, for every faulty box, annotation and image.

    Example:
        >>> records = kerassl.datasets.voc_records("VOCdevkit", 2007, "trainval", fraction=0.1)

    Reference:
        Everingham et al., "The PASCAL Visual Object Classes (VOC) Challenge", 2010.
    """
    classes = check_class_names(classes)
    folder = _year_folder(pathlib.Path(root), year)
    images, annotations = folder / "JPEGImages", folder / "Annotations"
    for needed in (images, annotations):
        if not needed.is_dir():
            raise UserError(f"{folder} holds no folder {needed.name}; a VOC folder has JPEGImages and Annotations")
    paths = {path.stem: path for path in sorted(images.iterdir(), reverse=True) if path.suffix.lower() in SUFFIXES}
    files = {path.stem: path for path in sorted(annotations.iterdir()) if path.suffix.lower() == ".xml"}
    ids = sorted(paths.keys() | files.keys()) if split is None else _split_ids(folder, split)
    if not ids:
        raise UserError(f"{folder} holds no images, or its split {split!r} is empty; nothing can be read from it")
    labels = (lambda each: annotated_names(files.get(each))) if stratified else None
    chosen = subset(ids, fraction=fraction, count=count, seed=seed, labels=labels)
    _check_pairs(chosen, paths, files, folder)
    findings = Findings(strict)
    records = [_record(each, paths[each], files[each], classes, findings, _mask(folder, each)) for each in chosen]
    findings.tell()
    records = [record for record in records if record is not None]
    if not records:
        raise UserError(
            f"none of the {len(chosen)} images of {images} can be opened with its annotation; the first: "
            f"{findings.files[0]}"
        )
    return records


def _record(image_id, image_path, xml_path, classes, findings, mask_path):
    """None where the image or its annotation cannot be read."""
    try:
        things, told = read_voc_annotation(xml_path, classes)
    except NoAnnotationError as error:
        findings.broken(f"{xml_path} {error}")
        return None
    picture = open_picture(image_path, findings)
    if picture is None:
        return None
    return make_record(image_id, image_path, picture, things, told, findings, xml_path, mask_path)


def _year_folder(root, year):
    if not root.is_dir():
        raise UserError(f"there is no folder {root}; give the VOCdevkit folder, which holds VOC2007 or another year")
    folder = root if year is None else root / f"VOC{year}"
    if folder.is_dir():
        return folder
    years = sorted(path.name.removeprefix("VOC") for path in root.glob("VOC*") if path.is_dir())
    if years:
        raise UserError(f"{root} holds no VOC{year}; it holds the years {', '.join(years)}")
    if (root / "JPEGImages").is_dir():
        raise UserError(f"{root} holds no VOC{year}, but images itself; give its parent folder, or year=None")
    raise UserError(f"{root} holds no VOC{year} nor any other year; give the VOCdevkit folder, which holds VOC2007")


def _split_ids(folder, split):
    sets = folder / "ImageSets" / "Main"
    path = sets / f"{split}.txt"
    if not path.is_file():
        names = sorted(file.stem for file in sets.glob("*.txt"))
        # Files of one class, as car_train, are splits too, but twenty times as many.
        found = [name for name in names if "_" not in name] or names[:10]
        there = f"it has {', '.join(found)}" if found else f"there is nothing in {sets}; split=None takes every image"
        raise UserError(f"{folder} has no split {split!r}; {there}")
    ids = set()
    for line in path.read_text(encoding="utf-8").splitlines():
        fields = line.split()
        # In a class's file a second column says 1, 0 (only difficult ones) or -1 (none).
        if fields and fields[1:] != ["-1"]:
            ids.add(fields[0])
    return sorted(ids)


def _check_pairs(ids, paths, files, folder):
    for what, there, place, suffix in (
        ("image", paths, "JPEGImages", ".jpg"),
        ("annotation", files, "Annotations", ".xml"),
    ):
        missing = [each for each in ids if each not in there]
        if missing:
            raise UserError(
                f"{folder / place} has no {what} for {len(missing)} of {len(ids)} ids, first {missing[0]}{suffix}; "
                "add the files, or take the ids out of the split"
            )


def _mask(folder, image_id):
    path = folder / "SegmentationObject" / f"{image_id}.png"
    return str(path) if path.is_file() else None
