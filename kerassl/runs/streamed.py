"""Predictions of any number of images in a folder: written as they are made, and resumed where they were stopped."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pathlib
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image
from tqdm import tqdm

from kerassl import detectors
from kerassl._errors import UserError
from kerassl._io import files
from kerassl._io.json import read_json
from kerassl._io.manifest import checksum
from kerassl._io.parts import Part
from kerassl._lazy import keras
from kerassl._version import __version__
from kerassl.datasets.images.faults import fault
from kerassl.datasets.images.reading import read_image
from kerassl.runs.model_files import load
from kerassl.runs.prediction_formats import FORMATS, Predicted, Written, text_stems
from kerassl.runs.running import verbosity
from kerassl.types import Detections

_SETTINGS = "settings.json"
_JOURNAL = "unfinished.predictions"  # a line for each batch, which is whole or not there


@dataclasses.dataclass(frozen=True)
class WrittenPredictions:
    """Predictions that were written.

    Attributes:
        folder: `pathlib.Path`; `metrics.load_predictions` reads it where the format is `coco`.
        images: int, how many were read.
        objects: int, the detections that score as much as was asked for.
        broken: int, the images that cannot be read.
    """

    folder: pathlib.Path
    images: int
    objects: int
    broken: int


@dataclasses.dataclass(frozen=True)
class Job:
    """Images to predict, and the format of the output.

    Attributes:
        model: as of `predict`.
        class_names: sequence of str, the model's.
        names: sequence of str, those of all images.
        paths: sequence of str, their files.
        format: str, of `prediction_formats.FORMATS`.
        score: float.
        draw: bool.
        part: `Part`, or None for all images.
    """

    model: str | os.PathLike | keras.Model
    class_names: Sequence[str]
    names: Sequence[str]
    paths: Sequence[str]
    format: str
    score: float
    draw: bool
    part: Part | None

    def settings(self) -> dict:
        """Return what shapes the files: a run is resumed only where all of it is the same."""
        given = isinstance(self.model, (str, os.PathLike))
        names = "\0".join(self.names).encode("utf-8", "surrogatepass")
        return {
            "kerassl": __version__,
            "model": checksum(self.model) if given else None,
            "images": hashlib.sha256(names).hexdigest(),
            "format": self.format,
            "score": self.score,
            "draw": self.draw,
            "part": None if self.part is None else str(self.part),
        }


def predict_into(folder: pathlib.Path, job: Job, resume: bool) -> WrittenPredictions:
    """Predict, and write the results.

    Args:
        folder: `pathlib.Path`, new, or with `resume` one that was begun with the same job.
        job: `Job`.
        resume: bool.

    Returns:
        `WrittenPredictions`.

    Raises:
        UserError: if the folder is another's, or no image can be read.
    """
    settings = job.settings()
    done = _begun(folder, settings, resume)
    if done is not None:
        return WrittenPredictions(folder, **done)
    chosen = range(len(job.names)) if job.part is None else job.part.places(job.names)
    names, paths = [job.names[place] for place in chosen], [job.paths[place] for place in chosen]
    empty = [_SETTINGS, _JOURNAL]  # no results, as long as there is no batch in the journal
    with files.claimed(folder, "predictions", keep=empty):
        _write_settings(folder, settings, None)
        files.open_log(folder / _JOURNAL)
        _predict(folder, job, names, paths, empty)
        images = objects = 0
        for each in _entries(folder):
            images += 1
            objects += int(np.sum(each.scores >= job.score))
        if paths and not images and job.part is None:
            raise UserError(f"none of {len(paths)} images can be read, first {paths[0]} {fault(paths[0])}")
        into = Written(
            folder, job.class_names, lambda: _entries(folder), text_stems(job.names), job.score
        )  # fmt: skip
        FORMATS[job.format](into)
        result = {"images": images, "objects": objects, "broken": len(paths) - images}
        _write_settings(folder, settings, result)
        (folder / _JOURNAL).unlink()
    return WrittenPredictions(folder, **result)


def _begun(folder, settings, resume):
    """The result of a finished run; None where there is something left to do."""
    if not os.path.lexists(folder / _SETTINGS):
        if os.path.lexists(folder) and not resume:
            raise UserError(f"{folder} already exists; choose another path or remove it first")
        return None
    if not resume:
        raise UserError(f"{folder} holds predictions already; continue by --resume, or choose another folder")
    read = read_json(folder / _SETTINGS, "choose another folder")
    kept = read if isinstance(read, dict) else {}
    for key, value in settings.items():
        if kept.get(key) != value:
            raise UserError(
                f"{folder} was begun with {key} {str(kept.get(key))[:20]}, and now it is {str(value)[:20]}; resume "
                "with the same settings, or choose another folder"
            )
    return kept.get("result")


def _write_settings(folder, settings, result):
    with files.whole(folder / _SETTINGS, state=True) as part:
        part.write_text(json.dumps({**settings, "result": result}, indent=1) + "\n", encoding="utf-8")


def _predict(folder, job, names, paths, empty):
    """Append to the journal what is missing in it."""
    first = _repair(folder / _JOURNAL)
    if first:
        empty.clear()
    if first >= len(paths):
        return
    network = load(job.model)
    with (
        (folder / _JOURNAL).open("a", encoding="utf-8", newline="\n") as journal,
        tqdm(total=len(paths), initial=first, desc="predict", unit="image", disable=verbosity() == 2) as bar,
    ):
        for batch in detectors.predict_batches(network, paths, first=first):
            rows = []
            for place, found, (height, width) in zip(batch.places, batch.detections, batch.sizes):
                if job.draw:
                    _draw(folder, names[place], paths[place], found, job.score)
                values = (part.tolist() for part in (found.boxes, found.scores, found.classes))
                rows.append([names[place], int(width), int(height), *values])
            journal.write(json.dumps({"end": batch.end, "images": rows}) + "\n")
            journal.flush()
            empty.clear()
            bar.update(batch.end - bar.n)


def _repair(path):
    """Cut half a line off the journal; returns how many images are done."""
    end = whole = 0
    with path.open("ab+") as file:
        file.seek(0)
        for line in file:
            if not line.endswith(b"\n"):
                break
            whole += len(line)
            end = json.loads(line)["end"]
        file.truncate(whole)
    return end


def _entries(folder) -> Iterator[Predicted]:
    with (folder / _JOURNAL).open(encoding="utf-8") as file:
        for line in file:
            for name, width, height, boxes, scores, classes in json.loads(line)["images"]:
                yield Predicted(
                    name, width, height, np.array(boxes).reshape(-1, 4), np.array(scores), np.array(classes, np.int64)
                )


def _draw(folder, name, path, found: Detections, score):
    """Draw an image under its own name; as PNG what is neither JPEG nor PNG."""
    suffix = os.path.splitext(name)[1].lower()
    if suffix not in (".jpg", ".jpeg", ".png"):
        name += ".png"
    drawn = Image.fromarray(found.plot(read_image(path), score_threshold=score))
    with files.whole(folder / "drawings" / name) as part:
        drawn.save(part, quality=90)  # of a JPEG
