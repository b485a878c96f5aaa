"""COCO's json of boxes: images, annotations, categories."""

import collections
import json
import logging
import math
import os
import pathlib

from kerassl._errors import UserError
from kerassl.datasets.annotation import Thing, make_record, open_picture, told_box
from kerassl.datasets.class_names import check_class_names
from kerassl.datasets.findings import Findings
from kerassl.datasets.subset import subset

log = logging.getLogger("kerassl")


def coco_classes(annotations):
    """The class names of a COCO json, as `coco_records` numbers them.

    Args:
        annotations: str or `pathlib.Path`. The json file.

    Returns:
        List of str: the categories' names in order of their ids; a name that stands twice counts once.

    Raises:
        UserError: if the file is missing or no COCO json.

    Example:
        >>> classes = kerassl.datasets.coco_classes("annotations/instances_train2017.json")
        >>> detector = kerassl.detectors.retinanet(backbone, classes=classes)
    """
    return list(dict.fromkeys(_categories(_load(annotations), annotations).values()))


def coco_categories(annotations, classes=None):
    """The class of each category of a COCO json, as `coco_records` numbers them.

    Args:
        annotations: str or `pathlib.Path`. The json file.
        classes: sequence of str or None; see `coco_records`.

    Returns:
        Dict from category id to the class's place in the list, or to None for categories that `classes` does not name.

    Raises:
        UserError: if the file is missing or no COCO json, or it has no category of a name in `classes`.

    Example:
        >>> kerassl.datasets.coco_categories("annotations/instances_val2017.json")[1]
        0
    """
    return _labels(_categories(_load(annotations), annotations), classes, annotations)[0]


def coco_records(
    annotations, images_dir, *, classes=None, fraction=None, count=None, stratified=True, seed=0, strict=False
):
    """Reads the boxes of a COCO json.

    The image's own size is trusted, as people see it (turned as its EXIF says); boxes are turned along where the json
    tells the size of the stored image, as `voc_records` does. Boxes that reach out of the image are clipped; boxes
    without an area, annotations of unknown images or categories, and images that are missing are left out; each kind is
    counted and told in one line of the log. Images that cannot be opened are left out and named there one by one.
    Images without annotations are kept, crowds (`iscrowd`) are difficult objects, masks are not read.

    Args:
        annotations: str or `pathlib.Path`. The json file.
        images_dir: str or `pathlib.Path`. The folder to which the json's file names belong.
        classes: sequence of str or None. The categories to read; a class is its place in this list. Objects of other
            categories are left out, and counted in the log. None takes all, in order of their ids; see `coco_classes`.
        fraction, count, stratified, seed: see `voc_records`; of the json's images.
        strict: bool. Stop at the first fault that would be left out or clipped.

    Returns:
        List of `Record`, whose ids are those of the json as str, sorted as str.

    Raises:
        UserError: if the json or the folder is missing, the json is no COCO json, it has no category of a name in
            `classes`, or no image can be opened; with `strict`, for every fault.

    Example:
        >>> records = kerassl.datasets.coco_records("annotations/instances_val2017.json", "val2017", fraction=0.1)

    Reference:
        Lin et al., "Microsoft COCO: Common Objects in Context", 2014.
    """
    annotations, folder = pathlib.Path(annotations), pathlib.Path(images_dir)
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}; give the folder of the images that {annotations} names")
    content = _load(annotations)
    labels, names = _labels(_categories(content, annotations), classes, annotations)
    findings = Findings(strict)
    images = _images(content["images"], annotations, findings)
    if not images:
        raise UserError(f"{annotations} names no image that can be read; give a COCO json with images")
    held = _classes_by_image(content["annotations"], labels) if stratified else None
    chosen = subset(
        images, fraction=fraction, count=count, seed=seed, labels=held and (lambda each: held.get(each, ()))
    )
    things = _things(content["annotations"], images, set(chosen), labels, names, annotations, findings)
    records = []
    for each in chosen:
        path = folder / images[each]["file_name"]
        if not path.is_file():
            findings.add("images that are missing left out", str(path))
            continue
        picture = open_picture(path, findings)
        if picture is not None:
            told = tuple(images[each].get(side) for side in ("width", "height"))
            told = None if None in told else tuple(_plain(value) for value in told)
            source = f"{annotations}, image {each}"
            records.append(make_record(each, path, picture, things.get(each, ()), told, findings, source))
    findings.tell()
    if not records:
        first = findings.files[0] if findings.files else f"{folder / images[chosen[0]]['file_name']} is not there"
        raise UserError(
            f"none of the {len(chosen)} images of {annotations} can be opened in {folder}; the first: {first}"
        )
    return records


def _classes_by_image(entries, labels):
    """The classes of each image's annotations by its id as str; what cannot be read is told when it is chosen."""
    held = collections.defaultdict(set)
    for entry in entries:
        if isinstance(entry, dict) and _is_id(entry.get("category_id")):
            label = labels.get(entry["category_id"])
            if label is not None:
                held[str(entry.get("image_id"))].add(label)
    return held


def _load(path):
    try:
        content = json.loads(pathlib.Path(path).read_bytes())
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); give a COCO json") from None
    except (ValueError, RecursionError) as error:  # also of what is no UTF-8
        raise UserError(f"{path} is no whole json file ({str(error)[:200]}); write it again") from None
    wanted = ("images", "annotations", "categories")
    missing = [key for key in wanted if not isinstance(content, dict) or not isinstance(content.get(key), list)]
    if missing:
        raise UserError(f"{path} has no list of {missing[0]}; a COCO json has images, annotations and categories")
    return content


def _categories(content, path):
    """Names by id, in order of the ids."""
    found = {}
    for entry in content["categories"]:
        if not isinstance(entry, dict) or not _is_id(entry.get("id")) or not isinstance(entry.get("name"), str):
            raise UserError(f"{path} has the category {str(entry)[:100]}; give each an id (a whole number) and a name")
        found[entry["id"]] = entry["name"]
    if not found:
        raise UserError(f"{path} has no categories; give each class a category with an id and a name")
    return dict(sorted(found.items()))


def _labels(categories, classes, path):
    """The class of each category id (None for those that are not wanted), and the names of the classes."""
    there = list(dict.fromkeys(categories.values()))
    names = there if classes is None else check_class_names(classes)
    unknown = [name for name in names if name not in there]
    if unknown:
        listed = ", ".join(there[:5]) + (", …" if len(there) > 5 else "")
        raise UserError(f"{path} has no category {unknown[0]!r}, which classes names; it has {len(there)}: {listed}")
    place = {name: label for label, name in enumerate(names)}
    return {key: place.get(name) for key, name in categories.items()}, names


def _images(entries, path, findings):
    """The images by id as str."""
    found = {}
    for entry in entries:
        name = entry.get("file_name") if isinstance(entry, dict) else None
        if not isinstance(name, str) or not name or "\0" in name or not _is_id(entry.get("id")):
            findings.add("images without an id or a file name left out", f"{path}, {str(entry)[:100]}")
        elif os.path.isabs(name) or ".." in pathlib.PurePath(name).parts:
            findings.add("images outside of their folder left out", f"{path}, {name}")
        elif str(entry["id"]) in found:
            findings.add("images whose id stands twice left out", f"{path}, image {entry['id']}")
        else:
            found[str(entry["id"])] = entry
    return found


def _things(entries, images, chosen, labels, names, path, findings):
    """Lists of `Thing` by image id, of the chosen images."""
    found, others = {}, 0
    for place, entry in enumerate(entries):
        if not isinstance(entry, dict):
            findings.add("annotations that are none left out", f"{path}, annotation {place}: {str(entry)[:100]}")
            continue
        image_id, category = str(entry.get("image_id")), entry.get("category_id")
        where = f"{path}, annotation {entry.get('id', f'at place {place}')}"
        if image_id not in images:
            findings.add("annotations of unknown images left out", f"{where} of image {image_id[:40]}")
        elif not _is_id(category) or category not in labels:
            findings.add("annotations of unknown categories left out", f"{where} of category {str(category)[:40]}")
        elif image_id not in chosen:
            continue
        elif labels[category] is None:
            others += 1
        elif not _is_box(entry.get("bbox")):
            findings.add("boxes that are no four numbers left out", f"{where}: {str(entry.get('bbox'))[:100]}")
        else:
            x, y, width, height = map(float, entry["bbox"])
            box = (x, y, x + width, y + height) if width > 0 and height > 0 else None
            label = labels[category]
            told = f"{where}, {names[label]} {told_box((x, y, width, height))}"
            found.setdefault(image_id, []).append(Thing(label, box, bool(entry.get("iscrowd", 0)), told))
    if others:
        log.info("%s: %d objects of other categories than classes names left out", path, others)
    return found


def _is_id(value):
    return isinstance(value, int) and not isinstance(value, bool)


def _is_box(value):
    if not isinstance(value, list) or len(value) != 4:
        return False
    return all(isinstance(each, (int, float)) and not isinstance(each, bool) and abs(each) < 1e9 for each in value)


def _plain(value):
    """A size as a number prints that is whole: some tools write 640.0."""
    return int(value) if isinstance(value, float) and math.isfinite(value) and value == int(value) else value
