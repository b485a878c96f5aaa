"""Detections in a COCO results json."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import numpy as np

from kerassl._errors import UserError
from kerassl._io.json import read_json
from kerassl.datasets.formats.coco import as_id
from kerassl.metrics.checks import FARTHEST, log
from kerassl.metrics.voc_results import of_rows
from kerassl.types import Detections


def load_coco_results(
    path: str | os.PathLike, categories: Mapping[int, int | None], image_ids: Sequence[str]
) -> dict[str, Detections]:
    """Read a COCO results json: a list of `{"image_id", "category_id", "bbox": [x, y, width, height], "score"}`.

    Args:
        path: str or `pathlib.Path`.
        categories: dict from category id to class (its place in the list of names), or to None for a category whose
            detections are left out and counted in the log; as `DetectionDataset.categories` has it.
        image_ids: sequence of str. The images that are scored; those that no entry names have no detections.

    Returns:
        Dict from each of `image_ids` to `Detections` with `coco_boxes`; those that no entry names have none.

    Raises:
        UserError: if the file is missing or not such a list, or an entry names an unknown image or category, or has no
            box or score.

    Example:
        >>> labeled = kerassl.datasets.DetectionDataset.from_coco("instances_val2017.json", "val2017")
        >>> ids = [record.image_id for record in labeled]
        >>> predictions = kerassl.metrics.load_coco_results("results.json", labeled.categories, ids)
    """
    return coco_results_of(read_json(path, "give a COCO results json"), path, categories, image_ids)


def coco_results_of(entries, path, categories, image_ids):
    """Return the detections in the content of a file, as `load_coco_results` does."""
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
        log.info("%s: %d detections of categories that are not among the classes left out", path, others)
    return {image_id: _of_rows(own) for image_id, own in rows.items()}


def _of_rows(rows):
    found = of_rows(rows)
    corners = np.concatenate([found.boxes[:, :2], found.boxes[:, :2] + found.boxes[:, 2:]], axis=1)
    return Detections(corners, found.scores, found.classes, coco_boxes=found.boxes)


def _entry(entry, where):
    """Image id as str, category id, box as four numbers and score."""
    wanted = ("image_id", "category_id", "bbox", "score")
    missing = [key for key in wanted if not isinstance(entry, dict) or key not in entry]
    if missing:
        raise UserError(f"{where} has no {missing[0]}; an entry has image_id, category_id, bbox and score")
    image_id, category, box, score = (entry[key] for key in wanted)
    if not isinstance(box, list) or len(box) != 4 or not all(map(_is_number, [*box, score])):
        raise UserError(
            f"{where} has the box {str(box)[:60]} and the score {str(score)[:30]}; give [x, y, width, height] and a "
            "number"
        )
    if box[2] < 0 or box[3] < 0:
        raise UserError(f"{where} has the box {box}, whose width or height is negative; give [x, y, width, height]")
    keys = as_id(image_id), as_id(category)
    for what, value, key in zip(("image", "category"), (image_id, category), keys):
        if key is None:
            raise UserError(f"{where} has the {what} {str(value)[:60]}; give the id of one")
    return str(keys[0]), keys[1], box, score


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= FARTHEST  # NaN is not
