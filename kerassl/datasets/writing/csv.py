"""Writing boxes as CSV."""

from __future__ import annotations

import csv
import os
import typing
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from kerassl.datasets.writing.files import WrittenDataset, number_text, shortest, writing, written

if typing.TYPE_CHECKING:
    from kerassl.datasets.dataset import DetectionDataset

COLUMNS = ("filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax")


def write_csv(
    labeled: DetectionDataset | Mapping[str, DetectionDataset],
    out: str | os.PathLike,
    *,
    copy: bool = False,
    progress: bool = True,
) -> WrittenDataset:
    """Write a CSV of boxes and its images: `annotations.csv`, or `train.csv` and so on for splits, and `images`.

    The columns are filename, width, height, class, xmin, ymin, xmax and ymax, in continuous pixels of the displayed
    image, counted from 0. An image without boxes has one row whose last five columns are empty. The class names are
    also in `classes.txt`, in their order. A CSV cannot mark crowd regions, which are left out, or difficult objects,
    which become ordinary ones; both are counted in the log.

    Args:
        labeled, out, copy, progress: see `write_voc`.

    Returns:
        `WrittenDataset`.

    Raises:
        UserError: see `write_voc`.
    """
    with writing(labeled, out, copy, progress) as output:
        for split, rows in output.splits.items():
            with output.annotations(split, ".csv") as file:
                table = csv.writer(file, lineterminator="\n")
                table.writerow(COLUMNS)
                for record, stem in rows:
                    image = output.image(record, "images", stem)
                    kept = output.kept(record, crowd=False)
                    labels = [output.class_names[label] for label in record.classes[kept]]
                    table.writerows(csv_rows(image, record.width, record.height, record.boxes[kept], labels))
        output.text("classes.txt", "".join(f"{name}\n" for name in output.class_names))
    return written(output, out, output.names)


def csv_rows(file: str, width: int, height: int, boxes: np.ndarray, labels: Iterable[str]) -> Iterator[list]:
    """Yield the rows of an image, at least one.

    Args:
        file: str, the image's file.
        width, height: int, of the displayed image.
        boxes: `[n, 4]` array, xyxy in pixels.
        labels: class names.
    """
    head = [file, int(width), int(height)]
    if not len(boxes):
        yield [*head, "", "", "", "", ""]
    for box, label in zip(boxes, labels):
        yield [*head, label, *map(number_text, shortest(box))]
