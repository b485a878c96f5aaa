"""Detections in COCO's results json."""

import json
import math
import pathlib

import numpy as np

from kerassl._errors import UserError
from kerassl.metrics.checks import log
from kerassl.metrics.voc_results import as_arrays


def load_coco_results(path, categories, image_ids):
    """Reads COCO's results json: a list of `{"image_id", "category_id", "bbox": [x, y, width, height], "score"}`.

    Args:
        path: str or `pathlib.Path`.
        categories: dict from category id to class (its place in the list of names), or to None for a category whose
            detections are left out and counted in the log; as `datasets.coco_categories` gives it.
        image_ids: sequence of str. The images that are scored; those that no entry names have no detections.

    Returns:
        Dict from each of `image_ids` to `{"boxes": float64 [n, 4] xyxy, "scores": float64 [n], "classes": int32 [n],
        "xywh": float64 [n, 4], the boxes as the file has them}`.

    Raises:
        UserError: if the file is missing or no such list, or an entry names an unknown image or category, or has no
            box or score; the entry's place is told.

    Example:
        >>> categories = kerassl.datasets.coco_categories("instances_val2017.json")
        >>> records = kerassl.datasets.coco_records("instances_val2017.json", "val2017")
        >>> ids = [record.image_id for record in records]
        >>> predictions = kerassl.metrics.load_coco_results("results.json", categories, ids)
    """
    path = pathlib.Path(path)
    try:
        entries = json.loads(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); give a COCO results json") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is no whole json file ({str(error)[:200]}); write it again") from None
    if not isinstance(entries, list):
        raise UserError(
            f"{path} is no list; a COCO results json is one of entries with image_id, category_id, bbox, score"
        )
    rows, others = {image_id: [] for image_id in image_ids}, 0
    for place, entry in enumerate(entries):
        image_id, category, box, score = _entry(entry, f"{path}, entry {place}")
        if image_id not in rows:
            raise UserError(
                f"{path}, entry {place} is of image {image_id!r}, which is not among the {len(rows)} that are scored; "
                "score results against the annotations that they were made for"
            )
        if category not in categories:
            known = ", ".join(map(str, list(categories)[:8])) + (", …" if len(categories) > 8 else "")
            raise UserError(f"{path}, entry {place} has the category {category!r}; the annotations have {known}")
        if categories[category] is None:
            others += 1
            continue
        rows[image_id].append((categories[category], score, *box))
    if others:
        log.info("%s: %d detections of other categories than classes names left out", path, others)
    return {image_id: _as_arrays(own) for image_id, own in rows.items()}


def _as_arrays(rows):
    found = as_arrays(rows)
    found["xywh"] = stated = found["boxes"]
    found["boxes"] = np.concatenate([stated[:, :2], stated[:, :2] + stated[:, 2:]], axis=1)
    return found


def _entry(entry, where):
    """Image id as str, category id, box as four numbers and score."""
    wanted = ("image_id", "category_id", "bbox", "score")
    missing = [key for key in wanted if not isinstance(entry, dict) or key not in entry]
    if missing:
        raise UserError(f"{where} has no {missing[0]}; an entry has image_id, category_id, bbox and score")
    image_id, category, box, score = (entry[key] for key in wanted)
    numbers = [*box, score] if isinstance(box, list) else []
    if len(numbers) != 5 or not all(map(_is_number, numbers)):
        raise UserError(
            f"{where} has the box {str(box)[:60]} and the score {str(score)[:30]}; give [x, y, width, height]"
        )
    if box[2] < 0 or box[3] < 0:
        raise UserError(f"{where} has the box {box}, whose width or height is negative; give [x, y, width, height]")
    try:
        hash(category)
    except TypeError:
        raise UserError(f"{where} has the category {str(category)[:60]}; give the number of one") from None
    return str(image_id), category, box, score


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
