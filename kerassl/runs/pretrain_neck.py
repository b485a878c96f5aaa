"""Pre-training of neck and box head on pseudo-boxes, before the labels."""

from __future__ import annotations

import logging
import pathlib
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from kerassl import detectors, runs
from kerassl._display import counted, verbosity
from kerassl._errors import UserError
from kerassl._io import file_names as _names
from kerassl._io import files as _files
from kerassl._io.state import read_kept, write_json
from kerassl._lazy import keras
from kerassl.config.schema import Protocol
from kerassl.config.sources import Sources, without_labels
from kerassl.datasets.images.reading import read_image
from kerassl.runs.pretrain import is_whole
from kerassl.types import PROTOCOLS, Detections

log = logging.getLogger("kerassl")

_DRAWN = 16


def check(section: Any, task: str, weights: str) -> None:
    """Refuse a localizer with a pre-trained neck whose backbone is random and trained.

    Args:
        section: The section of the task.
        task: `"frozen"`, `"localizer"` or `"detector"`.
        weights: what the backbone begins with, as `start.start` takes it.

    Raises:
        UserError: in one line.
    """
    if task == "localizer" and section.neck is not None and weights == "random" and not section.freeze:
        raise UserError(
            "a localizer whose neck is pre-trained needs a trained backbone; start from weights or a pre-training, or "
            "leave its neck out"
        )


def pretrain_neck(section: Any, task: str, model, data: Sources, out: pathlib.Path, seed: int, cache=None) -> None:
    """Train neck and box head on pseudo-boxes, or load what an earlier start of the run left of them.

    The images are those that pre-training may use. No label is read. `pseudo_boxes/` shows some of the boxes.

    Args:
        section: The section of the task, with a `neck`.
        task: `"frozen"`, `"localizer"` or `"detector"`.
        model: `detectors.Localizer` or `detectors.Detector`, whose neck and box head are changed.
        data: `Sources`.
        out: `pathlib.Path`, the folder of the variant.
        seed: Int.
        cache: `pathlib.Path` of a folder for a localizer's features, or None for memory.
    """
    plan, file, begun = section.neck, out / f"{task}_neck.npz", time.perf_counter()
    if is_whole(file):
        detectors.load_neck(model, file)
    else:
        paths = without_labels(data, plan.images, seed)
        records = detectors.pseudo_records(model.backbone, paths, verbose=int(verbosity() == 1))
        _draw(records, out / "pseudo_boxes")
        log.info("training the neck on %d images without labels, %s", len(records), counted(plan.epochs, "epoch"))
        settings = {"epochs": plan.epochs, "learning_rate": plan.learning_rate, "batch_size": section.batch_size}
        settings |= {"seed": seed, "verbose": 0, "callbacks": [runs.Progress("neck", section.batch_size)]}
        if task == "detector":
            detectors.pretrain_neck(model, records, **settings)
        else:
            detectors.pretrain_localizer(model, records, cache=cache, **settings)
        write_json(_figures(task, out), {"images": len(records), "minutes": (time.perf_counter() - begun) / 60})
        detectors.save_neck(model, file)
    keras.utils.set_random_seed(seed)  # so that what follows is the same, whether the neck was trained or loaded


def minutes(task: str, out: pathlib.Path) -> float | None:
    """Return how long the neck of a variant was trained, pseudo-boxes included, or None where it was not."""
    file = _figures(task, out)
    return (read_kept(file, "minutes") or {"minutes": None})["minutes"]


def seen(sections: Mapping[str, Protocol]) -> str:
    """Describe the pre-training of necks, as a sentence that follows another.

    Args:
        sections: dict from `"frozen"`, `"localizer"` or `"detector"` to that section.

    Returns:
        str, empty where none has a neck of its own.
    """
    whose: dict[int, list[str]] = {}
    for task, section in sections.items():
        if section.neck is not None:
            whose.setdefault(section.neck.images, []).append(PROTOCOLS[task])
    return "".join(
        f" The neck ({', '.join(names)}) saw up to {images} of the images without labels, in boxes it drew itself."
        for images, names in whose.items()
    )


def _figures(task, out):
    return out / f"{task}_neck.json"


def _draw(records, folder):
    with _files.whole(folder) as part:
        part.mkdir()
        for number, record in enumerate(records[:_DRAWN], 1):
            nothing = Detections(np.zeros([0, 4]), np.zeros(0), np.zeros(0, int))
            drawn = nothing.plot(read_image(record.path), truth=record)
            Image.fromarray(drawn).save(part / f"{number:04d}_{_names.file_name(pathlib.Path(record.path).stem)}.png")
