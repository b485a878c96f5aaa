"""Predictions of many images in the formats of other tools, written one image at a time."""

from __future__ import annotations

import collections
import csv
import dataclasses
import json
import os
import pathlib
import urllib.parse
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import yaml

from kerassl._display import printable
from kerassl._io import files
from kerassl.datasets.images.files import SUFFIXES
from kerassl.datasets.record import LabelWeights
from kerassl.datasets.writing.coco import annotation_entry, coco_json, coco_weights, image_entry
from kerassl.datasets.writing.csv import COLUMNS, csv_rows
from kerassl.datasets.writing.voc import voc_xml
from kerassl.datasets.writing.yolo import yolo_text
from kerassl.metrics.prediction_files import DESCRIPTION


@dataclasses.dataclass(frozen=True)
class Predicted:
    """The detections of one image.

    Attributes:
        name: str, its file, relative to the images' folder, with `/`.
        width, height: int, of the displayed image.
        boxes: `[n, 4]` array, xyxy in pixels.
        scores: `[n]` array.
        classes: `[n]` int array.
        weights: `datasets.LabelWeights` of labels, None of predictions.
    """

    name: str
    width: int
    height: int
    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    weights: LabelWeights | None = None

    def filter(self, score: float) -> Predicted:
        """Return the detections that score `score` or more."""
        return self.of(self.scores >= score)

    def of(self, kept: np.ndarray) -> Predicted:
        """Return some of the detections, by their places or a mask."""
        weights = None if self.weights is None else self.weights.of(kept)
        return Predicted(
            self.name, self.width, self.height, self.boxes[kept], self.scores[kept], self.classes[kept], weights
        )

    def plain(self) -> Predicted:
        """Return labels without weights and ignored regions."""
        kept = self if self.weights is None else self.of(~self.weights.ignore)
        return dataclasses.replace(kept, weights=None)


@dataclasses.dataclass(frozen=True)
class Written:
    """Data that a format is written from.

    Attributes:
        folder: `pathlib.Path` of the output.
        class_names: sequence of str.
        entries: function that yields a `Predicted` for each image, as often as it is called.
        stems: dict from name to the path of its text file without the suffix.
        score: float. The lowest score that is written, except in `coco`.
        labels_of: dict from name to the name of the image's file among the labels, of labels to train with; None of
            predictions.
    """

    folder: pathlib.Path
    class_names: Sequence[str]
    entries: Callable[[], Iterator[Predicted]]
    stems: Mapping[str, str]
    score: float
    labels_of: Mapping[str, str] | None = None

    def shown(self) -> Iterator[Predicted]:
        """Yield the images with the detections that score `score` or more."""
        return (each.plain().filter(self.score) for each in self.entries())

    def file(self, found: Predicted) -> str:
        """Return the name of an image's file."""
        return found.name if self.labels_of is None else self.labels_of[found.name]

    def labels(self, found: Predicted) -> list[str]:
        """Return the names of the classes of an image's detections."""
        return [self.class_names[label] for label in found.classes]


def text_stems(names: Sequence[str]) -> dict[str, str]:
    """Return for each image the path of its text file without the suffix: its own, where no other image has it.

    Args:
        names: those of all images, of which a part may be predicted.
    """
    stems = {name: os.path.splitext(name)[0] if name.lower().endswith(SUFFIXES) else name for name in names}
    counts = collections.Counter(stem.casefold() for stem in stems.values())
    return {name: stem if counts[stem.casefold()] == 1 else name for name, stem in stems.items()}


def _coco(into):
    def annotations():
        count = 0
        for image, found in enumerate(into.entries(), 1):
            more = [{}] * len(found.boxes) if found.weights is None else coco_weights(found.weights)
            for box, score, label, weights in zip(
                found.boxes.tolist(), found.scores.tolist(), found.classes.tolist(), more
            ):
                count += 1
                x0, y0, x1, y1 = box
                width, height = x1 - x0, y1 - y0  # exact: the numbers are those of float32
                stated = [x0, y0, width, height]
                yield annotation_entry(count, image, label + 1, stated, width * height, score=score, **weights)

    images = (
        image_entry(number, into.file(each), each.width, each.height)
        | ({} if each.weights is None else {"background": float(each.weights.background)})
        for number, each in enumerate(into.entries(), 1)
    )
    categories = ({"id": number, "name": name} for number, name in enumerate(into.class_names, 1))
    name, info = ("predictions", DESCRIPTION) if into.labels_of is None else ("annotations", "labels by kerassl")
    _write(into.folder / f"{name}.json", coco_json({"description": info}, images, annotations(), categories))


def _yolo(into):
    with files.whole(into.folder / "labels") as part:
        for found in into.shown():
            scores = found.scores if into.labels_of is None else None  # which most programs refuse in labels
            text = yolo_text(found.width, found.height, found.boxes, found.classes, scores)
            _write_text(part / f"{into.stems[found.name]}.txt", text)
    if into.labels_of is None:
        _write(into.folder / "classes.txt", (f"{name}\n" for name in into.class_names))
    else:
        content = {"train": "images", "names": dict(enumerate(into.class_names))}
        _write(into.folder / "data.yaml", [yaml.safe_dump(content, sort_keys=False, allow_unicode=True)])


def _voc(into):
    with files.whole(into.folder / "Annotations") as part:
        for found in into.shown():
            rows = zip(into.labels(found), found.boxes, [False] * len(found.boxes), found.scores)
            wide = [row for row in rows if min(row[1][2:] - row[1][:2]) > 1]  # others VOC does not know
            text = voc_xml(printable(os.path.basename(into.file(found))), found.width, found.height, wide)
            _write_text(part / f"{into.stems[found.name]}.xml", text)
    _write(into.folder / "classes.txt", (f"{name}\n" for name in into.class_names))


def _csv(into):
    with (
        files.whole(into.folder / "predictions.csv") as part,
        part.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        table = csv.writer(file, lineterminator="\n")
        table.writerow([*COLUMNS, "score"])
        for found in into.shown():
            scores = [str(np.float32(score)) for score in found.scores] or [""]
            rows = csv_rows(found.name, found.width, found.height, found.boxes, into.labels(found))
            table.writerows([*row, score] for row, score in zip(rows, scores))
    _write(into.folder / "classes.txt", (f"{name}\n" for name in into.class_names))


def _labelstudio(into):
    def text():
        yield "["
        for number, found in enumerate(into.shown(), 1):
            yield f"{',' if number > 1 else ''}\n{json.dumps(_task(number, found, into.labels(found)))}"
        yield "]\n"

    _write(into.folder / "labelstudio.json", text())
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, "Image", name="image", value="$image")
    labels = ElementTree.SubElement(view, "RectangleLabels", name="label", toName="image")
    for name in into.class_names:
        ElementTree.SubElement(labels, "Label", value=name)
    ElementTree.indent(view)
    _write(into.folder / "labelstudio.xml", [ElementTree.tostring(view, encoding="unicode"), "\n"])


def _task(number, found, labels):
    """A task with the detections as pre-annotations, whose coordinates are percentages of the image's sides."""
    sides = np.array([found.width, found.height] * 2, np.float64)
    shares = 100 * np.asarray(found.boxes, np.float64) / sides
    result = [
        {
            "id": f"{number}-{place}",
            "type": "rectanglelabels",
            "from_name": "label",
            "to_name": "image",
            "original_width": found.width,
            "original_height": found.height,
            "image_rotation": 0,
            "value": {"x": x0, "y": y0, "width": x1 - x0, "height": y1 - y0, "rotation": 0, "rectanglelabels": [label]},
            "score": score,
        }
        for place, ((x0, y0, x1, y1), label, score) in enumerate(zip(shares.tolist(), labels, found.scores.tolist()), 1)
    ]
    image = f"/data/local-files/?d={urllib.parse.quote(found.name, errors='surrogateescape')}"
    mean = float(np.mean(found.scores)) if len(found.scores) else 0.0
    return {
        "data": {"image": image},
        "predictions": [{"model_version": "kerassl", "score": mean, "result": result}],
    }


FORMATS: dict[str, Callable[[Written], None]] = {
    "coco": _coco,
    "yolo": _yolo,
    "voc": _voc,
    "csv": _csv,
    "labelstudio": _labelstudio,
}
"""Function of each format that writes it."""


def _write(path, pieces):
    with files.whole(path) as part, part.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(pieces)


def _write_text(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")
