"""Predictions of any number of images in a folder: written as they are made, and resumed where they were stopped."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pathlib
import typing
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from PIL import Image
from tqdm import tqdm

from kerassl import detectors
from kerassl._display import verbosity
from kerassl._errors import UserError
from kerassl._io import files
from kerassl._io.json import read_json
from kerassl._io.manifest import checksum
from kerassl._io.parts import Part, relative_names
from kerassl._lazy import keras
from kerassl._version import __version__
from kerassl.datasets.images.faults import fault
from kerassl.datasets.images.reading import read_image
from kerassl.datasets.pipeline.letterboxed import identified
from kerassl.detectors.model_files import load
from kerassl.metrics.prediction_formats import FORMATS, Predicted, Written, text_stems
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
class ImagesJob:
    """Images to run a model on, batch by batch, and what is written of the results.

    Attributes:
        model: as of `predict`.
        class_names: sequence of str, the model's.
        names: sequence of str, those of all images.
        paths: sequence of str, their files.
        part: `Part`, or None for all images.
        kind: str, what the folder holds.
    """

    model: str | os.PathLike | keras.Model
    class_names: Sequence[str]
    names: Sequence[str]
    paths: Sequence[str]
    part: Part | None
    kind: typing.ClassVar[str]

    def settings(self) -> dict:
        """Return what shapes the files: a run is resumed only where all of it is the same."""
        given = isinstance(self.model, (str, os.PathLike))
        names = "\0".join(self.names).encode("utf-8", "surrogatepass")
        return {
            "kerassl": __version__,
            "model": checksum(self.model) if given else None,
            "images": hashlib.sha256(names).hexdigest(),
            "part": None if self.part is None else str(self.part),
        }

    def rows(
        self, folder: pathlib.Path, network: keras.Model, names: Sequence[str], paths: Sequence[str], first: int
    ) -> Iterator[tuple[list, int]]:
        """Yield rows for the journal, in plain values, an image each and its name first; and where the next begin.

        Args:
            folder: `pathlib.Path` of the output.
            network: `keras.Model`.
            names, paths: those of the job's part.
            first: int, the place to begin at.
        """
        raise NotImplementedError

    def write(self, journal: Journal) -> dict:
        """Write the results of all rows; returns plain values to be kept."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class Job(ImagesJob):
    """Images to predict, and the format of the output.

    Attributes:
        format: str, of `prediction_formats.FORMATS`.
        score: float.
        draw: bool.
    """

    format: str
    score: float
    draw: bool
    kind = "predictions"

    def settings(self) -> dict:
        return {**super().settings(), "format": self.format, "score": self.score, "draw": self.draw}

    def rows(self, folder, network, names, paths, first):
        for batch in detectors.predict_batches(network, paths, first=first):
            if self.draw:
                for place, found in zip(batch.places, batch.detections):
                    _draw(folder, names[place], paths[place], found, self.score)
            yield batch_rows(batch, names), batch.end

    def write(self, journal):
        def entries():
            return (Predicted(*row) for row in journal.rows())

        FORMATS[self.format](Written(journal.folder, self.class_names, entries, text_stems(self.names), self.score))
        return {"objects": sum(int(np.sum(each.scores >= self.score)) for each in entries())}


def batch_rows(batch: detectors.PredictedBatch, names: Sequence[str]) -> list[list]:
    """Return the detections of a batch in plain values, in the order of `Predicted`."""
    rows = []
    for place, found, (height, width) in zip(batch.places, batch.detections, batch.sizes):
        values = (part.tolist() for part in (found.boxes, found.scores, found.classes))
        rows.append([names[place], int(width), int(height), *values])
    return rows


class Journal:
    """The rows that a job has made, read from its folder.

    Args:
        folder: `pathlib.Path`.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder

    def rows(self) -> Iterator[list]:
        """Yield the rows, with boxes, scores and classes as arrays."""
        with self._open() as file:
            for line in file:
                yield from map(row_arrays, json.loads(line)["images"])

    def chosen(self, places: Iterable[int]) -> Iterator[list]:
        """Yield the rows of some places, in the order given."""
        starts: list[tuple[int, int]] = []
        with self._open() as file:
            start = 0
            for line in file:
                starts += [(start, number) for number in range(len(json.loads(line)["images"]))]
                start += len(line)
            for place in places:
                file.seek(starts[place][0])
                yield row_arrays(json.loads(file.readline())["images"][starts[place][1]])

    def _open(self):
        return (self.folder / _JOURNAL).open("rb")


def row_arrays(row: list) -> list:
    """Return a row of `batch_rows` with boxes, scores and classes as arrays."""
    name, width, height, boxes, scores, classes, *more = row
    return [name, width, height, np.array(boxes).reshape(-1, 4), np.array(scores), np.array(classes, np.int64), *more]


def named_images(images: typing.Any, out: str | os.PathLike | None) -> tuple[list[str], list[str]]:
    """Return the names and paths of images, each once.

    Args:
        images: a file, a folder, or a list of those or of records.
        out: str or path of the output, which must be outside, or None.

    Raises:
        UserError: if there is no image, or a path does not exist.
    """
    listed: Iterable = [images] if isinstance(images, (str, os.PathLike)) else images
    given = [str(getattr(image, "path", image)) for image in listed]
    if out is not None:
        files.check_outside(out, given)
    paths = list(dict.fromkeys(identified(images)[1]))
    return relative_names(paths, given), paths


def predict_into(folder: pathlib.Path, job: ImagesJob, resume: bool) -> dict:
    """Run a job, and write the results.

    Args:
        folder: `pathlib.Path`, new, or with `resume` one that was begun with the same job.
        job: `ImagesJob`.
        resume: bool.

    Returns:
        Dict of the numbers of `images` that were read and of `broken` ones, and what the job's `write` returns.

    Raises:
        UserError: if the folder is another's, or no image can be read.
    """
    settings = job.settings()
    done = _begun(folder, settings, resume, job.kind)
    if done is not None:
        return done
    chosen = range(len(job.names)) if job.part is None else job.part.places(job.names)
    names, paths = [job.names[place] for place in chosen], [job.paths[place] for place in chosen]
    empty = [_SETTINGS, _JOURNAL]  # no results, as long as there is no batch in the journal
    with files.claimed(folder, job.kind, keep=empty):
        _write_settings(folder, settings, None)
        files.open_log(folder / _JOURNAL)
        _predict(folder, job, names, paths, empty)
        journal = Journal(folder)
        images = sum(1 for _ in journal.rows())
        if paths and not images and job.part is None:
            raise UserError(f"none of {len(paths)} images can be read, first {paths[0]} {fault(paths[0])}")
        result = {"images": images, "broken": len(paths) - images, **job.write(journal)}
        _write_settings(folder, settings, result)
        (folder / _JOURNAL).unlink()
    return result


def _begun(folder, settings, resume, kind):
    """The result of a finished run; None where there is something left to do."""
    if not os.path.lexists(folder / _SETTINGS):
        if os.path.lexists(folder) and not resume:
            raise UserError(f"{folder} already exists; choose another path or remove it first")
        return None
    if not resume:
        raise UserError(f"{folder} holds {kind} already; continue by --resume, or choose another folder")
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
        for rows, end in job.rows(folder, network, names, paths, first):
            journal.write(json.dumps({"end": end, "images": rows}) + "\n")
            journal.flush()
            empty.clear()
            bar.update(end - bar.n)


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


def _draw(folder, name, path, found: Detections, score):
    """Draw an image under its own name; as PNG what is neither JPEG nor PNG."""
    suffix = os.path.splitext(name)[1].lower()
    if suffix not in (".jpg", ".jpeg", ".png"):
        name += ".png"
    drawn = Image.fromarray(found.plot(read_image(path), score_threshold=score))
    with files.whole(folder / "drawings" / name) as part:
        drawn.save(part, quality=90)  # of a JPEG
