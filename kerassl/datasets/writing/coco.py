"""Writing a COCO json."""

from __future__ import annotations

import json
import os
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from kerassl.datasets.formats.coco import as_id
from kerassl.datasets.record import LabelWeights
from kerassl.datasets.writing.files import WrittenDataset, writing, written

if typing.TYPE_CHECKING:
    from kerassl.datasets.dataset import DetectionDataset


def write_coco(
    labeled: DetectionDataset | Mapping[str, DetectionDataset],
    out: str | os.PathLike,
    *,
    copy: bool = False,
    progress: bool = True,
) -> WrittenDataset:
    """Write a COCO json and its images: `annotations.json`, or `train.json` and so on for splits, and `images`.

    Boxes are those of the displayed image. What was read from a COCO json keeps its ids, areas and boxes as they were
    stated, but not its masks. What COCO does not know are keys that `DetectionDataset.from_coco` reads and other
    programs pass over: `difficult`, and the weights of a record as `weight`, `box_weight` and `ignore` of an annotation
    and `background` of an image.

    Args:
        labeled, out, copy, progress: see `write_voc`.

    Returns:
        `WrittenDataset`.

    Raises:
        UserError: see `write_voc`.
    """
    with writing(labeled, out, copy, progress) as output:
        given = labeled.values() if isinstance(labeled, Mapping) else [labeled]
        ids = _category_ids(next(iter(given)).categories, len(output.class_names))
        categories = [{"id": key, "name": name} for key, name in zip(ids, output.class_names)]
        for split, rows in output.splits.items():
            numbers = _image_ids([record.image_id for record, _ in rows])
            entries = [
                image_entry(number, output.image(record, "images", stem), record.width, record.height)
                | ({} if record.weights is None else {"background": float(record.weights.background)})
                for number, (record, stem) in zip(numbers, rows)
            ]
            annotations = _annotations(numbers, rows, ids, output)
            with output.annotations(split, ".json") as file:
                file.writelines(coco_json({}, entries, annotations, categories))
    return written(output, out, output.names)


def _annotations(numbers, rows, ids, output):
    count = 0
    for number, (record, _) in zip(numbers, rows):
        kept = output.kept(record, crowd=True, difficult=True, weights=True)
        more = _more(record)
        if record.coco is None or record.weights is not None:
            corners = record.boxes[kept].astype(np.float64)
            boxes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
            found = zip(boxes, boxes[:, 2] * boxes[:, 3], record.classes[kept], record.crowd[kept])
        else:
            found = zip(record.coco.boxes, record.coco.areas, record.coco.classes, record.coco.crowd)
            more = [{}] * len(record.coco.boxes)
        for (box, area, label, crowd), weights in zip(found, more):
            count += 1
            yield annotation_entry(count, number, ids[label], box.tolist(), float(area), int(crowd), **weights)


def _more(record):
    """The keys of each box that COCO itself does not have."""
    found: list[dict] = [{"difficult": 1} if difficult else {} for difficult in record.difficult]
    if record.weights is not None:
        found = [entry | weights for entry, weights in zip(found, coco_weights(record.weights))]
    return found


def coco_weights(weights: LabelWeights) -> list[dict]:
    """Return the keys of each box's entry for its weights."""
    rows = zip(weights.weight, weights.box_weight, weights.ignore)
    return [
        {"weight": float(weight), "box_weight": float(box_weight), "ignore": int(ignore)}
        for weight, box_weight, ignore in rows
    ]


def image_entry(number: int, file: str, width: int, height: int) -> dict:
    """Return an entry of a COCO json's `images`."""
    return {"id": number, "file_name": file, "width": int(width), "height": int(height)}


def annotation_entry(
    number: int, image: int, category: int, box: Sequence[float], area: float, crowd: int = 0, **more: float
) -> dict:
    """Return an entry of a COCO json's `annotations`; the box is x, y, width and height."""
    content = {"id": number, "image_id": image, "category_id": category, "bbox": box, "area": area, "iscrowd": crowd}
    return {**content, **more}


def coco_json(
    info: Mapping, images: Iterable[Mapping], annotations: Iterable[Mapping], categories: Iterable[Mapping]
) -> Iterator[str]:
    """Yield the text of a COCO json piece by piece, one entry a line, so that it need not fit into memory.

    Args:
        info: dict, of the file.
        images, annotations, categories: dicts, each of them read once.
    """
    yield f'{{"info": {json.dumps(info)},\n'
    parts = {"categories": categories, "images": images, "annotations": annotations}
    for place, (key, entries) in enumerate(parts.items()):
        yield f'"{key}": ['
        for number, entry in enumerate(entries):
            yield f"{',' if number else ''}\n{json.dumps(entry)}"
        yield "]}\n" if place == len(parts) - 1 else "],\n"


def _category_ids(categories, count):
    """The ids that the classes had in the json that they were read from, where each has one and they are in order."""
    own = [[key for key, label in (categories or {}).items() if label == place] for place in range(count)]
    ids = [keys[0] for keys in own if len(keys) == 1 and isinstance(keys[0], int)]
    return ids if len(ids) == count and ids == sorted(ids) else list(range(1, count + 1))


def _image_ids(ids):
    """The images' ids where all are whole numbers, as COCO's are; else numbers from 1 on."""
    numbers = [as_id(each) for each in ids]
    own = all(isinstance(each, int) for each in numbers) and len(set(numbers)) == len(numbers)
    return numbers if own else list(range(1, len(numbers) + 1))
