"""COCO's json of boxes: images, annotations, categories."""

import collections
import logging
import math
import os
import pathlib
import re

from kerassl._errors import UserError
from kerassl._io.file_names import nfc
from kerassl._io.json import read_json
from kerassl.datasets.class_names import check_there, read_class_names, report_left_out
from kerassl.datasets.formats.annotation import AnnotatedObject, box_text, make_record, read_flag, read_size
from kerassl.datasets.formats.findings import Findings
from kerassl.datasets.formats.places import check_sizes, folder_of_names, locate, name_endings
from kerassl.datasets.images.files import by_file_name

log = logging.getLogger("kerassl")

_UNKNOWN = "annotations of unknown images left out"


def read_coco(annotations, images_dir, class_names, strict, allow_broken):
    """Read a COCO json; see `DetectionDataset.from_coco`. `images_dir` None looks for the folder beside the json.

    Returns:
        List of `Record`, list of class names, and dict from category id to the class, or to None for categories that
        are not wanted.
    """
    annotations = pathlib.Path(annotations)
    if images_dir is not None and not os.path.isdir(images_dir):
        raise UserError(f"there is no folder {images_dir}; give the folder of the images that {annotations} names")
    content = _load(annotations)
    categories = _categories(content, annotations)
    names = list(dict.fromkeys(categories.values()))
    if class_names is None:
        names = [name for name in names if name not in _roots(content)] or names
    else:
        wanted = read_class_names(class_names)
        check_there(wanted, names, annotations, "category")
        names = wanted
    place = {name: label for label, name in enumerate(names)}
    labels = {key: place.get(name) for key, name in categories.items()}
    _report_doubled(categories, annotations)
    findings = Findings(strict, allow_broken)
    images, doubled = _images(content["images"], annotations, findings)
    if not images:
        raise UserError(
            f"{annotations} names no image that can be read; give a COCO json with images{_first(findings)}"
        )
    objects, others = _objects(
        content["annotations"], images, doubled, categories, labels, names, annotations, findings
    )
    files = [entry["file_name"] for entry in images.values()]
    endings = name_endings(files)
    folder = folder_of_names(annotations, files, endings) if images_dir is None else pathlib.Path(images_dir)
    records, held, doubles = [], set(), []
    for image_id in sorted(images):
        entry = images[image_id]
        name, where = entry["file_name"], f"{annotations}, image {image_id}"
        path, problem = locate(folder, name, endings)
        if path is None:
            findings.missing(problem, f"{where}: {name}")
            continue
        if path in held:
            doubles.append(f"image {image_id}: {name}")
        held.add(path)
        size = read_size(path, findings)
        if size is not None:
            stated = tuple(entry.get(side) for side in ("width", "height"))
            stated = None if None in stated else tuple(map(_plain, stated))
            found = objects.get(image_id, ())
            background = _number(entry, "background", None, where, findings)
            records.append(
                make_record(image_id, path, size, found, stated, findings, where, names, background=background)
            )
    if not records:
        raise UserError(
            f"none of the {len(images)} images of {annotations} can be opened in {folder}{_first(findings)}"
        )
    unknown = findings.found.get(_UNKNOWN, ())
    if images_dir is None:
        check_sizes(annotations, folder, findings.sizes, len(records))
    findings.report(images=len(images), objects=len(content["annotations"]) - len(unknown))
    if doubles:
        log.warning("%s: %d images kept whose file another has: %s", annotations, len(doubles), "; ".join(doubles[:3]))
    report_left_out(others, annotations)
    return by_file_name(records), names, labels


def _first(findings):
    """The first image that was left out, for a message."""
    if findings.files:
        return f"; the first: {findings.files[0]}"
    kinds = [(len(places), kind, places[0]) for kind, places in findings.found.items() if kind.startswith("images")]
    return "; {} {}, first {}".format(*max(kinds)) if kinds else ""


def _load(path):
    content = read_json(path, "give a COCO json")
    wanted = ("images", "annotations", "categories")
    missing = [key for key in wanted if not isinstance(content, dict) or not isinstance(content.get(key), list)]
    if missing:
        raise UserError(
            f"{path} has no list of {missing[0]}; a COCO json has images, annotations and categories: export the "
            "labels as COCO"
        )
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


def _roots(content):
    """Names of categories that only others belong to: Roboflow adds one of the data set's name, without objects."""
    entries = [entry for entry in content["categories"] if entry.get("supercategory") == "none"]
    if not entries:
        return set()
    above = {
        entry.get("supercategory") for entry in content["categories"] if isinstance(entry.get("supercategory"), str)
    }
    used = {as_id(entry.get("category_id")) for entry in content["annotations"] if isinstance(entry, dict)}
    return {nfc(entry["name"]) for entry in entries if entry["name"] in above and as_id(entry["id"]) not in used}


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


def _objects(entries, images, doubled, categories, labels, names, path, findings):
    """Lists of `AnnotatedObject` by image id, and how many objects of other classes there are, by name."""
    found, others, seen, again = collections.defaultdict(list), collections.Counter(), {}, []
    for place, entry in enumerate(entries):
        if not isinstance(entry, dict):
            where = f"{path}, annotation {place}: {str(entry)[:100]}"
            findings.add("annotations that are none left out", where, unread=True)
            continue
        image_id, category = as_id(entry.get("image_id")), as_id(entry.get("category_id"))
        image_id = image_id if image_id is None else str(image_id)
        where = f"{path}, annotation {str(entry.get('id', f'at place {place}'))[:40]}"
        if image_id in doubled:
            findings.add("annotations of an image id that occurs twice left out", f"{where} of {image_id}", unread=True)
            continue
        if image_id not in images:
            named = f"{where} of image {str(entry.get('image_id'))[:40]!r}"
            findings.add(_UNKNOWN, named)
            continue
        if category not in labels:
            named = f"{where} of category {str(entry.get('category_id'))[:40]!r}"
            findings.add("annotations of unknown categories left out", named, unread=True)
            continue
        if not _is_box(entry.get("bbox")):
            named = f"{where}: {str(entry.get('bbox'))[:100]}"
            findings.add("boxes that are no four numbers left out", named, unread=True)
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
        label = labels[category]
        if label is None:
            others[categories[category]] += 1
            continue
        box = (x, y, x + width, y + height)
        named = f"{where}, {names[label]} {box_text((x, y, width, height))}"
        crowd, weights = _is_crowd(entry, where), _weights(entry, where, findings)
        difficult = bool(read_flag(entry.get("difficult")))  # a key of `write_coco`
        found[image_id].append(AnnotatedObject(label, box, difficult, named, crowd, _stated(entry), weights))
    if again:
        log.warning("%d annotations kept whose id another has: %s", len(again), "; ".join(again[:3]))
    return found, others


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


def _weights(entry, where, findings):
    """Weight, box weight and whether the region is ignored, or None where none of them is given."""
    if not any(key in entry for key in ("weight", "box_weight", "ignore")):
        return None
    ignore = read_flag(entry.get("ignore"))
    if ignore is None:
        raise UserError(f"{where} has the ignore {str(entry['ignore'])[:40]!r}; give 1 for a region, 0 for an object")
    weights = [_number(entry, key, 1.0, where, findings) for key in ("weight", "box_weight")]
    return None if weights == [1, 1] and not ignore else (*weights, ignore)


def _number(entry, key, default, where, findings):
    """A weight, from 0."""
    value = entry.get(key)
    if value is None:
        return default
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e9:
        return float(value)
    findings.add(f"values of {key} that are no number from 0 taken as 1", f"{where}: {str(value)[:40]}")
    return 1.0


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
