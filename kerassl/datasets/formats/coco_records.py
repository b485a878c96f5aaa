"""COCO's json of boxes: images, annotations, categories."""

import collections
import logging
import math
import os
import pathlib
import re

from kerassl._errors import UserError
from kerassl._io.json import read_json
from kerassl.datasets.class_names import check_there, class_names, report_left_out
from kerassl.datasets.formats.annotation import Thing, make_record, open_picture, told_box
from kerassl.datasets.formats.findings import Findings
from kerassl.datasets.formats.flags import read_flag
from kerassl.datasets.formats.unicode_names import find_file, nfc
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
    annotations,
    images_dir,
    *,
    classes=None,
    fraction=None,
    count=None,
    stratified=True,
    seed=0,
    strict=False,
    allow_broken=False,
):
    """Reads the boxes of a COCO json.

    The image's own size is trusted, as people see it (turned as its EXIF says); boxes are turned along where the json
    tells the size of the stored image, as `voc_records` does. Boxes that reach out of the image are clipped; boxes
    without an area, annotations of unknown images or categories, and images that are missing are left out; each kind is
    counted and told in one line of the log. Images that cannot be opened are left out and named there one by one.
    If more than a tenth of the annotations cannot be read, that is an error.

    A file name that is absolute, or has the folder of the images in it, is taken for the file in that folder where one
    alone fits; ids may be whole numbers or strings, "1" is 1. Images without annotations are kept, masks are not read.
    Boxes of crowds (`iscrowd`) are marked as `crowd`: nothing is trained on them or has to find them.

    Args:
        annotations: str or `pathlib.Path`. The json file.
        images_dir: str or `pathlib.Path`. The folder to which the json's file names belong.
        classes: sequence of str, file of names (see `yolo_classes`), or None. The categories to read; a class is its
            place in this list. Objects of other categories are left out, and counted in the log. None takes all, in
            order of their ids; see `coco_classes`.
        fraction, count, stratified, seed: see `voc_records`; of the json's images.
        strict: bool. Stop at the first fault that would be left out or clipped.
        allow_broken: bool. Go on where more than a tenth of the annotations cannot be read.

    Returns:
        List of `Record`, whose ids are those of the json as str, sorted as str.

    Raises:
        UserError: if the json or the folder is missing, the json is no COCO json, it has no category of a name in
            `classes`, or no image can be opened or too little read; with `strict`, for every fault.

    Example:
        >>> records = kerassl.datasets.coco_records("annotations/instances_val2017.json", "val2017", fraction=0.1)

    Reference:
        Lin et al., "Microsoft COCO: Common Objects in Context", 2014.
    """
    annotations, folder = pathlib.Path(annotations), pathlib.Path(images_dir)
    if not os.path.isdir(folder):
        raise UserError(f"there is no folder {folder}; give the folder of the images that {annotations} names")
    content = _load(annotations)
    categories = _categories(content, annotations)
    labels, names = _labels(categories, classes, annotations)
    _report_doubled(categories, annotations)
    findings = Findings(strict, allow_broken)
    images, doubled = _images(content["images"], annotations, findings)
    if not images:
        raise UserError(
            f"{annotations} names no image that can be read; give a COCO json with images{_first(findings)}"
        )
    held = _classes_by_image(content["annotations"], labels) if stratified else None
    chosen = subset(
        images, fraction=fraction, count=count, seed=seed, labels=held and (lambda each: held.get(each, ()))
    )
    things, total, others = _things(
        content["annotations"], images, doubled, set(chosen), categories, labels, names, annotations, findings
    )
    endings = _endings(entry["file_name"] for entry in images.values())
    records, held, doubles = [], set(), []
    for each in chosen:
        name = images[each]["file_name"]
        path, problem = _locate(folder, name, endings)
        if path is None:
            findings.add(f"images {problem} left out", f"{annotations}, image {each}: {name}")
            continue
        if path in held:
            doubles.append(f"image {each}: {name}")
        held.add(path)
        picture = open_picture(path, findings)
        if picture is not None:
            told = tuple(images[each].get(side) for side in ("width", "height"))
            told = None if None in told else tuple(_plain(value) for value in told)
            source = f"{annotations}, image {each}"
            records.append(make_record(each, path, picture, things.get(each, ()), told, findings, source, names=names))
    if not records:
        raise UserError(
            f"none of the {len(chosen)} images of {annotations} can be opened in {folder}{_first(findings)}"
        )
    findings.tell(objects=total)
    if doubles:
        log.warning("%s: %d images kept whose file another has: %s", annotations, len(doubles), "; ".join(doubles[:3]))
    report_left_out(others, annotations)
    return records


def _first(findings):
    """The first image that was left out, for a message."""
    if findings.files:
        return f"; the first: {findings.files[0]}"
    kinds = [(len(places), kind, places[0]) for kind, places in findings.found.items() if kind.startswith("images")]
    return "; {} {}, first {}".format(*max(kinds)) if kinds else ""


def _classes_by_image(entries, labels):
    """The classes of each image's annotations by its id as str; what cannot be read is told when it is chosen."""
    held = collections.defaultdict(set)
    for entry in entries:
        if isinstance(entry, dict):
            label = labels.get(as_id(entry.get("category_id")))
            if label is not None and not read_flag(entry.get("iscrowd")):
                held[str(as_id(entry.get("image_id")))].add(label)
    return held


def _load(path):
    content = read_json(path, "give a COCO json")
    wanted = ("images", "annotations", "categories")
    missing = [key for key in wanted if not isinstance(content, dict) or not isinstance(content.get(key), list)]
    if missing:
        raise UserError(f"{path} has no list of {missing[0]}; a COCO json has images, annotations and categories")
    return content


def _categories(content, path):
    """Names by id, in order of the ids."""
    found = {}
    for entry in content["categories"]:
        key, name = (as_id(entry.get("id")), entry.get("name")) if isinstance(entry, dict) else (None, None)
        if key is None or not isinstance(name, str):
            raise UserError(
                f"{path} has the category {str(entry)[:100]!r}; give each an id (a whole number) and a name"
            )
        if found.setdefault(key, nfc(name)) != nfc(name):
            raise UserError(
                f"{path} has two categories of the id {key}, {found[key]!r} and {name!r}; give each an id of its own"
            )
    if not found:
        raise UserError(f"{path} has no categories; give each class a category with an id and a name")
    return dict(sorted(found.items(), key=lambda pair: (isinstance(pair[0], str), pair[0])))


def _labels(categories, classes, path):
    """The class of each category id (None for those that are not wanted), and the names of the classes."""
    there = list(dict.fromkeys(categories.values()))
    names = there if classes is None else class_names(classes)
    check_there(names, there, path, "category")
    place = {name: label for label, name in enumerate(names)}
    return {key: place.get(name) for key, name in categories.items()}, names


def _report_doubled(categories, path):
    for name, count in collections.Counter(categories.values()).items():
        if count > 1:
            ids = ", ".join(str(key) for key, each in categories.items() if each == name)
            log.warning("%s: the categories %s are all called %r and are read as one class", path, ids, name)


def _images(entries, path, findings):
    """The images by id as str, and the ids that several have."""
    found, doubled = {}, set()
    for entry in entries:
        name = entry.get("file_name") if isinstance(entry, dict) else None
        key = as_id(entry.get("id")) if isinstance(entry, dict) else None
        if not isinstance(name, str) or not name or "\0" in name or key is None:
            findings.add("images without an id or a file name left out", f"{path}, {str(entry)[:100]}")
        elif found.setdefault(str(key), entry)["file_name"] != name:
            # Whose the boxes are is not known.
            findings.add("images whose id occurs twice left out", f"{path}, image {key}: {name}")
            doubled.add(str(key))
    return {key: entry for key, entry in found.items() if key not in doubled}, doubled


def _endings(names):
    """How many images have a name that ends so, by all ends of the names' paths."""
    found = collections.Counter()
    for name in names:
        parts = nfc(name).replace("\\", "/").split("/")
        found.update("/".join(parts[start:]) for start in range(len(parts)))
    return found


def _locate(folder, name, endings):
    """The path of an image, or None and the reason."""
    plain = name.replace("\\", "/")
    for each in dict.fromkeys((name, plain)):
        path = _inside(folder, each)
        if path is not None:
            return path, None
    parts = [part for part in plain.split("/") if part not in ("", ".")]
    absolute = re.match(r"/|[A-Za-z]:", plain)
    if ".." in parts:
        return None, "outside of their folder"
    if absolute:
        starts = range(len(parts))
    else:
        starts = [1] if parts and parts[0] == os.path.basename(os.path.abspath(folder)) else []
    for start in starts:
        path = find_file(folder, "/".join(parts[start:]))
        if path is not None:
            one = endings["/".join(map(nfc, parts[start:]))] == 1
            return (path, None) if one else (None, "whose name fits several files")
    return None, "outside of their folder" if absolute else "that are missing"


def _inside(folder, name):
    """A file by its path from the folder, or None: also where that leads out of it."""
    root = os.path.abspath(folder)
    path = os.path.normpath(os.path.join(root, name))
    if not path.startswith(os.path.join(root, "")):
        return None
    return find_file(folder, os.path.relpath(path, root))


def _things(entries, images, doubled, chosen, categories, labels, names, path, findings):
    """Lists of `Thing` by image id, of the chosen images; how many objects they have; others', by name."""
    found, others, total, seen, again = {}, collections.Counter(), 0, {}, []
    for place, entry in enumerate(entries):
        if not isinstance(entry, dict):
            total += 1
            told = f"{path}, annotation {place}: {str(entry)[:100]}"
            findings.add("annotations that are none left out", told, unread=True)
            continue
        image_id, category = as_id(entry.get("image_id")), as_id(entry.get("category_id"))
        image_id = image_id if image_id is None else str(image_id)
        where = f"{path}, annotation {str(entry.get('id', f'at place {place}'))[:40]}"
        if image_id in doubled:
            total += 1
            findings.add("annotations of an image id that occurs twice left out", f"{where} of {image_id}", unread=True)
            continue
        if image_id not in images:
            told = f"{where} of image {str(entry.get('image_id'))[:40]!r}"
            findings.add("annotations of unknown images left out", told)
            continue
        if category not in labels:
            if image_id in chosen:
                total += 1
            told = f"{where} of category {str(entry.get('category_id'))[:40]!r}"
            findings.add("annotations of unknown categories left out", told, unread=image_id in chosen)
            continue
        if image_id not in chosen:
            continue
        total += 1
        if not _is_box(entry.get("bbox")):
            told = f"{where}: {str(entry.get('bbox'))[:100]}"
            findings.add("boxes that are no four numbers left out", told, unread=True)
            continue
        x, y, width, height = map(float, entry["bbox"])
        key, content = as_id(entry.get("id")), (image_id, category, x, y, width, height)
        if key in seen and seen[key] == content:
            findings.add("annotations that occur twice left out", where)
            continue
        if key in seen:
            again.append(where)
        elif key is not None:
            seen[key] = content
        if labels[category] is None:
            others[categories[category]] += 1
            continue
        box = (x, y, x + width, y + height) if width > 0 and height > 0 else None
        label = labels[category]
        told = f"{where}, {names[label]} {told_box((x, y, width, height))}"
        found.setdefault(image_id, []).append(Thing(label, box, False, told, _is_crowd(entry, where), _stated(entry)))
    if again:
        log.warning("%d annotations kept whose id another has: %s", len(again), "; ".join(again[:3]))
    return found, total, others


def as_id(value):
    """An id as a number where it is one, however it is written, else as str; None for what is no id."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str):
        value = value.strip()
        return int(value) if re.fullmatch(r"0|-?[1-9]\d{0,17}", value, re.ASCII) else value or None
    return value if isinstance(value, int) else None


def _is_crowd(entry, where):
    crowd = read_flag(entry.get("iscrowd"))
    if crowd is None:
        raise UserError(
            f"{where} has the iscrowd {str(entry['iscrowd'])[:40]!r}; give 1 for a crowd region, 0 for an object"
        )
    return crowd


def _stated(entry):
    """x, y, width, height, area and id, for COCO's evaluation."""
    x, y, width, height = map(float, entry["bbox"])
    area, key = entry.get("area"), as_id(entry.get("id"))
    known = isinstance(area, (int, float)) and not isinstance(area, bool) and abs(area) < 1e18  # NaN is not
    area = float(area) if known else width * height
    return x, y, width, height, area, key if isinstance(key, int) and abs(key) < 2**63 else 1


def _is_box(value):
    if not isinstance(value, list) or len(value) != 4:
        return False
    return all(isinstance(each, (int, float)) and not isinstance(each, bool) and abs(each) < 1e9 for each in value)


def _plain(value):
    """A size as a number prints that is whole: some tools write 640.0."""
    return int(value) if isinstance(value, float) and math.isfinite(value) and value == int(value) else value
