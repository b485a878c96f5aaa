"""Detections in the result files of the PASCAL VOC devkit, one per class."""

from __future__ import annotations

import os
import pathlib
import re
from collections.abc import Mapping, Sequence

import numpy as np

from kerassl._errors import UserError
from kerassl._io import file_names as _names
from kerassl._io import files as _files
from kerassl._io.file_names import nfc
from kerassl._io.text import read_text
from kerassl.metrics.checks import Renaming, arrays, log
from kerassl.types import Detections

_NAME = re.compile(r"(comp\d+)_det_(.+)\.txt")


def save_voc_results(
    folder: str | os.PathLike,
    predictions: Mapping[str, Detections],
    classes: Sequence[str],
    *,
    split: str = "test",
    competition: str = "comp4",
    overwrite: bool = False,
) -> list[pathlib.Path]:
    """Write detections as the devkit's evaluation reads them: `<competition>_det_<split>_<class>.txt`, one per class.

    A class name that is not a valid file name, as `car/van`, is percent-encoded; `load_voc_results` reads it back.

    A line is `image_id score xmin ymin xmax ymax`, by falling score, in VOC's inclusive pixels, counted from 1: a box
    (x0, y0, x1, y1) is written as (x0 + 1, y0 + 1, x1, y1). A class without detections gets an empty file.

    Args:
        folder: str or `pathlib.Path`, as `VOCdevkit/results/VOC2007/Main`. Created if missing.
        predictions: dict from image id to `Detections`, whose classes are matched by name.
        classes: sequence of str, the class names.
        split: str. The list of images, as "val".
        competition: str, "comp3" (trained on VOC's images alone) or "comp4" (on any).
        overwrite: bool. Replace existing files.

    Returns:
        List of `pathlib.Path`, the files in the order of the classes.

    Raises:
        UserError: if an image id contains white space, which separates the fields of a line, a class is beyond the
            class names, or a value is invalid.

    Example:
        >>> kerassl.metrics.save_voc_results("results/VOC2007/Main", predictions, kerassl.datasets.VOC_CLASSES)
    """
    lines: list[list] = [[] for _ in classes]
    rename = Renaming(classes, "the files")
    for image_id, found in predictions.items():
        if len(str(image_id).split()) != 1:
            raise UserError(f"the image id {image_id!r} is empty or contains white space, which separates VOC's fields")
        boxes, scores, labels = arrays(f"image {image_id!r}", found)
        places = rename.places(found)
        for box, score, label in zip((boxes + (1, 1, 0, 0)).tolist(), scores.tolist(), labels.tolist()):
            if not 0 <= label < len(classes):
                raise UserError(f"image {image_id!r} has class {label}, but there are {len(classes)} class names")
            place = label if places is None else places[label]
            lines[place].append((score, f"{image_id} {score!r} " + " ".join(map(repr, box))))
    folder = pathlib.Path(folder)
    paths = []
    for name in (split, competition):
        if name != _names.file_name(name):
            raise UserError(
                f"{name!r} cannot be part of a file's name; give split and competition as 'val' and 'comp4'"
            )
    for name, own in zip(_names.file_names(classes), lines):
        own.sort(key=lambda line: -line[0])
        paths.append(folder / f"{competition}_det_{split}_{name}.txt")
        with _files.whole(paths[-1], overwrite=overwrite) as part:
            part.write_text("".join(f"{line}\n" for _, line in own), encoding="utf-8")
    return paths


def load_voc_results(
    source: str | os.PathLike | Sequence[str | os.PathLike],
    classes: Sequence[str],
    image_ids: Sequence[str],
    *,
    split: str | None = None,
) -> dict[str, Detections]:
    """Read the devkit's result files, `comp4_det_<split>_<class>.txt`: a line is an image id, a score and a box.

    VOC's inclusive pixels, counted from 1, become continuous ones: 1 is subtracted from xmin and ymin. Boxes that
    extend beyond the image are not clipped. Classes without a file have no detections and are named in the log.

    Args:
        source: str or `pathlib.Path` of a folder of such files, or of a file, or a list of files.
        classes: sequence of str, the class names.
        image_ids: sequence of str, the images of the split.
        split: str or None. Which files of a folder to read, if it contains those of several splits.

    Returns:
        Dict from each of `image_ids` to `Detections`; those that no line names have none.

    Raises:
        UserError: if there is no file, a folder contains files of several splits or competitions, a file is named after
            no class, or a line is malformed or names an unknown image.

    Example:
        >>> ids = [record.image_id for record in records]
        >>> predictions = kerassl.metrics.load_voc_results("results/VOC2007/Main", kerassl.datasets.VOC_CLASSES, ids)
    """
    files = _files_by_class(source, classes, split)
    rows: dict[str, list] = {image_id: [] for image_id in image_ids}
    for label, path in sorted(files.items()):
        _read(path, label, rows)
    without = [name for label, name in enumerate(classes) if label not in files]
    if without:
        shown = ", ".join(without[:5]) + (", …" if len(without) > 5 else "")
        log.warning(
            "there is no file for %d of %d classes (%s); they have no detections", len(without), len(classes), shown
        )
    return {image_id: of_rows(own, tuple(classes)) for image_id, own in rows.items()}


def of_rows(rows: Sequence[tuple], class_names: Sequence[str] | None = None) -> Detections:
    """Return `Detections` of an image from a list of (class, score, x0, y0, x1, y1)."""
    table = np.array(rows, np.float64).reshape(-1, 6)
    return Detections(table[:, 2:], table[:, 1], table[:, 0].astype(np.int32), class_names)


def _files_by_class(source, classes, split):
    """Return a dict from class to path."""
    paths = _paths(source)
    found = {}
    # As `save_voc_results` writes them, and as they are.
    known = {nfc(name): label for names in (classes, _names.file_names(classes)) for label, name in enumerate(names)}
    for path in paths:
        match = _NAME.fullmatch(nfc(path.name))
        if match is None:
            raise UserError(
                f"{path} is not named like a result of the devkit; its names are comp4_det_<set>_<class>.txt"
            )
        # The longest: "cat" is the end of "wild_cat" too.
        names = sorted((name for name in known if match[2].endswith(f"_{name}")), key=len)
        if not names:
            shown = ", ".join(classes[:5]) + (", …" if len(classes) > 5 else "")
            fact = f"{path} is named after no class of the {len(classes)} ({shown})"
            raise UserError(f"{fact}; give classes that fit it", f"{fact}; give --classes that fit it")
        of_split = match[2][: -len(names[-1]) - 1]
        found.setdefault((match[1], of_split), {})[known[names[-1]]] = path
    if split is not None and any(of_split == split for _, of_split in found):
        found = {key: files for key, files in found.items() if key[1] == split}
    if len(found) > 1:
        listed = " and ".join("_det_".join(key) for key in sorted(found)[:3])
        raise UserError(f"{paths[0].parent} contains results of {listed}; give the files of one of them")
    return next(iter(found.values()))


def _paths(source):
    if not isinstance(source, (list, tuple)):
        source = pathlib.Path(source)
        if source.is_dir():
            found = sorted(path for path in source.glob("comp*_det_*.txt") if path.is_file())
            if not found:
                raise UserError(
                    f"{source} contains no result of the devkit; its files are named comp4_det_<set>_<class>.txt"
                )
            return found
        source = [source]
    paths = [pathlib.Path(path) for path in source]
    missing = [path for path in paths if not path.is_file()]
    if missing or not paths:
        raise UserError(f"there is no file {missing[0] if missing else 'named'}; give the devkit's result files")
    return paths


def _read(path, label, rows):
    """Add a file's detections to those of their images."""
    lines = read_text(path, "give the devkit's result files")
    for number, line in enumerate(lines.split("\n"), start=1):
        fields = line.split()
        if not fields:
            continue
        try:
            score, xmin, ymin, xmax, ymax = map(float, fields[1:])
        except ValueError:
            raise UserError(
                f"{path}, line {number} is {line[:80]!r}; a line is an image id, a score, xmin, ymin, xmax and ymax"
            ) from None
        image_id = fields[0] if fields[0] in rows else nfc(fields[0])
        if image_id not in rows:
            raise UserError(
                f"{path}, line {number} names the image {image_id!r}, which is not among the {len(rows)} that are "
                "scored; score results against the split that they were made on"
            )
        if not np.isfinite((score, xmin, ymin, xmax, ymax)).all():
            raise UserError(f"{path}, line {number} is {line[:80]!r}; every number must be finite")
        # A box of one pixel has xmax == xmin.
        if xmax < xmin - 1 or ymax < ymin - 1:
            raise UserError(f"{path}, line {number} has an inverted box; a line ends with xmin, ymin, xmax and ymax")
        rows[image_id].append((label, score, xmin - 1, ymin - 1, xmax, ymax))
