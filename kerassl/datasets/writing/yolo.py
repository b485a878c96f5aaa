"""Writing YOLO's text files."""

from __future__ import annotations

import os
import typing
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import yaml

from kerassl.datasets.writing.files import WrittenDataset, writing, written

if typing.TYPE_CHECKING:
    from kerassl.datasets.dataset import DetectionDataset


def write_yolo(
    labeled: DetectionDataset | Mapping[str, DetectionDataset],
    out: str | os.PathLike,
    *,
    copy: bool = False,
    progress: bool = True,
) -> WrittenDataset:
    """Write YOLO's folders: `images`, `labels` and `data.yaml`, with a folder for each split.

    Coordinates are shares of the sides of the displayed image. YOLO cannot mark crowd regions, which are left out, or
    difficult objects, which become ordinary ones; both are counted in the log. Paths in `data.yaml` are relative to
    it.

    Args:
        labeled, out, copy, progress: see `write_voc`. Without splits all images are those of `train`.

    Returns:
        `WrittenDataset`.

    Raises:
        UserError: see `write_voc`.
    """
    with writing(labeled, out, copy, progress) as output:
        content: dict = {}
        for split, rows in output.splits.items():
            inside = "" if split is None else f"/{split}"
            content[split or "train"] = f"images{inside}"
            for record, stem in rows:
                output.image(record, f"images{inside}", stem)
                kept = output.kept(record, crowd=False)
                text = yolo_text(record.width, record.height, record.boxes[kept], record.classes[kept])
                output.text(f"labels{inside}/{stem}.txt", text)
        content["names"] = dict(enumerate(output.class_names))
        output.text("data.yaml", yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    return written(output, out, ("data.yaml",))


def yolo_text(
    width: int, height: int, boxes: np.ndarray, classes: Sequence[int], scores: Iterable[float] | None = None
) -> str:
    """Return the lines of an image: class, center, width and height as shares of its sides, and a score if given.

    Args:
        width, height: int, of the displayed image.
        boxes: `[n, 4]` array, xyxy in pixels.
        classes: `[n]` ints.
        scores: `[n]` floats, or None.
    """
    corners = np.asarray(boxes, np.float64).reshape(-1, 4) / [width, height, width, height]
    shares = np.concatenate([(corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]], axis=1)
    rows = [[str(int(label)), *(f"{share:.10f}" for share in row)] for label, row in zip(classes, shares)]
    if scores is not None:
        rows = [[*row, str(np.float32(score))] for row, score in zip(rows, scores)]
    return "".join(" ".join(row) + "\n" for row in rows)
