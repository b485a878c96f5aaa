"""Pre-training by the photographs' own labels: what contrast without labels is held against."""

import logging
import math

from kerassl import datasets, models
from kerassl._errors import UserError
from kerassl._lazy import keras
from kerassl.datasets.class_names import read_class_names
from kerassl.datasets.images.shard_index import is_shards
from kerassl.runs.kept import read_kept
from kerassl.runs.pretrain import fit_watched, is_whole, last, save, schedule_optimizer, starting_backbone, views_of
from kerassl.runs.running import scope, write_json
from kerassl.runs.time_limit import TimeLimit

log = logging.getLogger("kerassl")


def pretrain_by_labels(config, images, folder, weights="random", classes=None, limit=None):
    """Pre-trains a backbone as a classifier of as many views as contrastive pre-training sees.

    Views, batch size, optimiser and schedule are those of the section `pretrain`. Where some photographs have no label,
    the others are seen more often: epochs are added, as whole ones, until the views are as many.

    Args:
        config: `Config`.
        images: list of folders and files; `datasets.named_classes` tells the labels.
        folder: `pathlib.Path`, where backbone, figures, checkpoints and logs are left.
        weights: what the backbone begins with, as `start` takes it.
        classes: list of str, the classes that are read; or None for all.
        limit: `TimeLimit`, or None.

    Returns:
        Dict of figures, as it stands in `pretrain.json`.

    Raises:
        UserError: if fewer than two classes are found, or one of `classes` is not there.
        OutOfTimeError: if the limit is over; started again, it goes on in its checkpoint.
    """
    done = folder / "pretrain.json"
    figures = read_kept(done, "minutes", "checksum")
    if figures is not None and is_whole(folder / "backbone.keras"):
        return figures
    plan = config.pretrain
    labeled, everything = labeled_images(images, classes)
    names = sorted(set(labeled.values()))
    labels = [names.index(name) for name in labeled.values()]
    log.info(
        "%d of %d photographs have a label of %d classes; the others are left out",
        len(labeled), everything, len(names),
    )  # fmt: skip
    load_size = plan.load_size or plan.image_size + 32
    batches = datasets.labeled_images(list(labeled), labels, load_size, plan.batch_size, seed=config.seed)
    wanted = everything // plan.batch_size * plan.epochs
    epochs = max(1, round(wanted / batches.steps))
    total = batches.steps * epochs
    keras.utils.set_random_seed(config.seed)
    with scope(config):
        backbone = starting_backbone(config, weights)
        model = models.ViewClassifier(backbone, names, plan.image_size, augmentation=views_of(plan), seed=config.seed)
        model.compile(schedule_optimizer(plan, total, model.trainable_variables))
    history, minutes = fit_watched(model, batches, plan, epochs, folder, limit or TimeLimit())
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
    write_json(done, figures)
    return figures


def labeled_images(images, classes=None):
    """The photographs whose class their place or their name tells.

    Args:
        images: list of folders and files.
        classes: list of str, the classes that are read; or None for all.

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
        raise UserError(f"no photograph is of the class {missing[0]!r}; there are {', '.join(sorted(names)) or 'none'}")
    kept = {path: name for path, name in found.items() if classes is None or name in classes}
    if len(set(kept.values())) < 2:
        raise UserError(
            f"a supervised variant needs photographs of two classes and more, but {len(set(kept.values()))} was "
            "found; put each class into a sub-folder, or begin the files' names with it and a _"
        )
    return kept, len(datasets.image_files(images))
