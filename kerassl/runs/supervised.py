"""Pre-training by class labels, a baseline for contrast without labels."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

from kerassl import datasets, models
from kerassl._errors import UserError
from kerassl._io.state import write_json
from kerassl._lazy import keras
from kerassl.datasets.class_names import read_class_names
from kerassl.datasets.images.shard_index import is_shards
from kerassl.runs.plan.stages import Pretraining
from kerassl.runs.pretrain import fit_watched, is_whole, last, save, schedule_optimizer, starting_backbone, views_of
from kerassl.runs.running import TimeLimit, scope

log = logging.getLogger("kerassl")


def run(stage: Pretraining, images: Sequence[str], limit: TimeLimit | None = None) -> dict:
    """Pre-train a backbone as a classifier of as many views as contrastive pre-training sees.

    Views, batch size, optimizer and schedule are those of the section `pretrain`. Where some images have no label, the
    others are seen more often: epochs are added, as whole ones, until the views are as many.

    Args:
        stage: `plan.Pretraining`, which is `supervised`.
        images: Folders and files; `datasets.named_classes` reads the labels.
        limit: `TimeLimit`, or None.

    Returns:
        Dict of figures, as in `pretrain.json`.

    Raises:
        UserError: if fewer than two classes are found, or one of `supervised` is missing.
        OutOfTimeError: if the limit is over; started again, it continues from its checkpoint.
    """
    figures = stage.kept()
    if figures is not None and is_whole(stage.folder / "backbone.keras"):
        return figures
    plan, folder = stage.settings, stage.folder
    labeled, everything = labeled_images(images, named(stage.supervised))
    names = sorted(set(labeled.values()))
    labels = [names.index(name) for name in labeled.values()]
    log.info(
        "%d of %d images have a label of %d classes; the others are left out",
        len(labeled), everything, len(names),
    )  # fmt: skip
    load_size = plan.load_size or plan.image_size + 32
    batches = datasets.labeled_images(list(labeled), labels, load_size, plan.batch_size, seed=stage.seed)
    wanted = everything // plan.batch_size * plan.epochs
    epochs = max(1, round(wanted / batches.steps))
    total = batches.steps * epochs
    keras.utils.set_random_seed(stage.seed)
    with scope(stage.network):
        backbone = starting_backbone(stage)
        model = models.ViewClassifier(backbone, names, plan.image_size, augmentation=views_of(plan), seed=stage.seed)
        model.compile(schedule_optimizer(plan, total, model.trainable_variables))
    history, minutes = fit_watched(model, batches, stage, epochs, limit or TimeLimit())
    checksum = save(model.backbone, folder)
    figures = {
        "images": batches.steps * plan.batch_size,
        "epochs": epochs,
        "batch_size": plan.batch_size,
        "steps": total,
        "classes": names,
        "without_label": everything - len(labeled),
        "chance": math.log(len(names)),
        "loss": last(history, "loss"),
        "accuracy": last(history, "accuracy"),
        "minutes": minutes,
        "checksum": checksum,
    }
    write_json(folder / "pretrain.json", figures)
    return figures


def named(supervised: bool | list[str]) -> list[str] | None:
    """Return the classes that `supervised` names, or None for all."""
    return None if isinstance(supervised, bool) else supervised


def labeled_images(images: Sequence[str], classes: Sequence[str] | None = None) -> tuple[dict[str, str], int]:
    """Return the images that have a class, by their folder or their name.

    Args:
        images: Folders and files.
        classes: Sequence of str, the classes that are read; None for all.

    Returns:
        Dict from file to class, and how many files there are, with a class or without.

    Raises:
        UserError: if fewer than two classes are found, or one of `classes` is not there.
    """
    if any(is_shards(path) for path in images):
        raise UserError(
            "a supervised variant reads labels from folders and names, which shards lack; give image folders"
        )
    found = datasets.named_classes(images)
    classes = classes if classes is None else read_class_names(classes)
    names = set(found.values())
    missing = [] if classes is None else [name for name in classes if name not in names]
    if missing:
        raise UserError(f"no image is of the class {missing[0]!r}; there are {', '.join(sorted(names)) or 'none'}")
    kept = {path: name for path, name in found.items() if classes is None or name in classes}
    if len(set(kept.values())) < 2:
        raise UserError(
            f"a supervised variant needs images of two classes or more, but {len(set(kept.values()))} was "
            "found; put each class into a sub-folder, or begin the files' names with it and a _"
        )
    return kept, len(datasets.image_files(images))
