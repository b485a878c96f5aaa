"""Neck and box head before the labels. A whole file is left, and taken where it stands."""

import logging
import pathlib
import time

from PIL import Image

from kerassl import detectors
from kerassl._errors import UserError
from kerassl._io import file_names as _names
from kerassl._io import files as _files
from kerassl._lazy import keras
from kerassl.runs.kept import read_kept
from kerassl.runs.running import verbosity, write_json
from kerassl.runs.sources import without_labels
from kerassl.types import PROTOCOLS

log = logging.getLogger("kerassl")

_DRAWN = 16


def check(section, task, weights):
    """Refuses a localiser that could not be trained whole after its neck: that of a network that has learned nothing.

    Args:
        section: `sections.Protocol`.
        task: `"frozen"`, `"localizer"` or `"detector"`.
        weights: what the backbone begins with, as `start.start` takes it.

    Raises:
        UserError: in one line.
    """
    if task == "localizer" and section.neck is not None and weights == "random" and not section.freeze:
        raise UserError(
            "a localiser whose neck learns before the labels needs a backbone that has learned; begin with weights or "
            "a pre-training, or take its neck out"
        )


def pretrain_neck(config, task, model, data, out, cache=None):
    """Trains neck and box head on pseudo-boxes, or takes what an earlier start of the run left of them.

    The images are those that pre-training may use. No label is read. `pseudo_boxes/` shows some of the boxes.

    Args:
        config: `Config`, whose section `task` has a `neck` that says how.
        task: `"frozen"`, `"localizer"` or `"detector"`.
        model: `detectors.Localizer` or `detectors.Detector`, whose neck and box head are changed.
        data: `Sources`.
        out: `pathlib.Path`, the folder of the variant.
        cache: `pathlib.Path` of a folder for a localiser's features, or None for memory.
    """
    section = getattr(config, task)
    plan, file, begun = section.neck, out / f"{task}_neck.npz", time.perf_counter()
    if _is_whole(file):
        detectors.load_neck(model, file)
    else:
        paths = without_labels(data, plan.images, config.seed)
        records = detectors.pseudo_records(model.backbone, paths, verbose=int(verbosity() == 1))
        _draw(records, out / "pseudo_boxes")
        log.info("training the neck on %d images without labels, %d epochs", len(records), plan.epochs)
        settings = {"epochs": plan.epochs, "learning_rate": plan.learning_rate, "batch_size": section.batch_size}
        settings |= {"seed": config.seed, "verbose": verbosity()}
        if task == "detector":
            detectors.pretrain_neck(model, records, **settings)
        else:
            detectors.pretrain_localizer(model, records, cache=cache, **settings)
        write_json(_figures(task, out), {"images": len(records), "minutes": (time.perf_counter() - begun) / 60})
        detectors.save_neck(model, file)
    keras.utils.set_random_seed(config.seed)  # what follows is the same, whether the neck was trained or taken


def minutes(task, out):
    """How long the neck of a variant was trained, boxes and all, or None where it was not."""
    file = _figures(task, out)
    return (read_kept(file, "minutes") or {"minutes": None})["minutes"]


def _is_whole(file):
    if not file.exists():
        return False
    from kerassl.backbones.weights import read  # here: it loads h5py, which a refusal can do without

    try:
        read(file)
    except UserError as error:
        log.warning("%s; the neck is trained again", error)
        return False
    return True


def seen(sections):
    """What necks have seen before the labels, as a sentence that follows another.

    Args:
        sections: dict from `"frozen"`, `"localizer"` or `"detector"` to that section.

    Returns:
        str, empty where none has a neck of its own.
    """
    whose = {}
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
            found = {"boxes": record.boxes, "classes": record.classes}
            picture = detectors.draw(record.path, found, ["object"])
            Image.fromarray(picture).save(part / f"{number:04d}_{_names.file_name(pathlib.Path(record.path).stem)}.png")
