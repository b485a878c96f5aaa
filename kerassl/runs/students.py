"""The stages of a self-training, as `kerassl.self_train` and comparisons do them."""

from __future__ import annotations

import dataclasses
import logging
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kerassl._errors import UserError
from kerassl._io.state import write_json
from kerassl.config.config import read_config
from kerassl.config.sources import Sources, labeled_parts
from kerassl.datasets import DetectionDataset, Record
from kerassl.datasets.pipeline.letterboxed import identified
from kerassl.datasets.pipeline.stream import check_readable
from kerassl.detectors import model_files
from kerassl.runs import finetune as finetuning
from kerassl.runs.plan.stages import Labeling, Matched, Mixed
from kerassl.runs.running import TimeLimit
from kerassl.tasks.label import held_by, label

log = logging.getLogger("kerassl")

_TRIED = 64  # images, among which one is usually found that can be labeled


def check_pool(images: Sequence[str], parts: Mapping[str, Iterable[Record] | None]) -> None:
    """Refuse images to label of which none is left or none can be read, before a teacher is trained.

    Args:
        images: Sequence of files and folders.
        parts: As of `unlabeled`.

    Raises:
        UserError: in one line.
    """
    paths = list(dict.fromkeys(identified(images)[1]))
    left, others = _left(paths[:_TRIED], parts), paths[_TRIED:]
    if not left:
        left, others = _left(others, parts), []
    if not left:
        raise UserError(
            f"all of {len(paths)} images are labeled, or copies of such; give others by --images, or data.unlabeled"
        )
    check_readable([*left, *others])


def _left(paths, parts):
    held = _held(paths, parts) if paths else {}
    return [path for path in paths if path not in held]


def unlabeled(paths: Iterable[str], parts: Mapping[str, Iterable[Record] | None], folder: pathlib.Path) -> list[str]:
    """Return those of some images that are not labeled; `left_out.json` lists the others.

    Args:
        paths: Iterable of str.
        parts: Dict from name to the records of labeled images, or None.
        folder: `pathlib.Path` of the run.
    """
    paths = list(dict.fromkeys(paths))
    held = _held(paths, parts)
    rows = [
        {"image": path, "copy_of": each.original, "part": each.original_split, "kind": each.kind}
        for path, each in held.items()
    ]
    write_json(folder / "left_out.json", {"images": len(paths), "left_out": rows})
    left = [path for path in paths if path not in held]
    if held:
        log.info("%d of %d images left out that are labeled, or copies of such", len(held), len(paths))
    return left


def _held(paths, parts):
    return held_by({name: [one.path for one in part] for name, part in parts.items() if part}, paths)


def label_pool(stage: Labeling, pool: Sequence[str], train: DetectionDataset) -> dict:
    """Label images by the detector of a stage, or by both of them; returns the result."""
    own = stage.settings
    label(
        stage.weights, pool, like=train, out=stage.folder, also=stage.second, threshold=own.threshold,
        mirror=own.mirror, keep_foreign=own.keep_foreign, weight_by_score=own.weight_by_score,
        least_agreement=own.least_agreement, background=own.background, empty_background=own.empty_background,
        resume=True,
    )  # fmt: skip
    return stage.kept() or {}


def train_student(stage: Mixed, data: Sources, limit: TimeLimit | None = None) -> dict:
    """Train a student on the labeled images of `data` and on those of its stage; returns its figures."""
    records, epochs = _mixed(stage, data.train)
    return finetuning.run(_for(stage, epochs), data.with_labels(records), limit)


def train_matched(stage: Matched, data: Sources, images: float, limit: TimeLimit | None = None) -> dict:
    """Train on the labeled images of `data` alone, so long that `images` are seen; returns the figures."""
    return finetuning.run(_for(stage, max(1, round(images / len(data.train)))), data, limit)


def images_seen(stage: Mixed, train: DetectionDataset) -> float:
    """Return how many images teachers, labelings and students up to a stage see, once they are done.

    An image counts by its pixels, as a multiple of those of the student's.
    """
    own, recipe, labeling = stage.mix, len(train) * stage.settings.epochs, stage.labeling
    labelers = [file for file in (labeling.weights, labeling.second) if file is not None]
    pixels = [((model_files.describe(file).image_size or 0) / stage.settings.image_size) ** 2 for file in labelers]
    images = sum(recipe * each for each in pixels) if stage.before is None else images_seen(stage.before, train)
    passes = [labeled_images(labeling)] * len(labelers)
    passes[0] += 0 if own.keep_foreign else len(train)
    images += sum(count * (2 if own.mirror else 1) * each for count, each in zip(passes, pixels))
    records, epochs = _mixed(stage, train)
    return images + len(records) * epochs


def labeled_images(stage: Labeling) -> int:
    """Return how many images a labeling went through."""
    result = stage.kept() or {}
    return result["images"] + result["broken"]


def _mixed(stage, train):
    """Return the images that a student is trained on, and for how many epochs.

    The list of an epoch holds every labeled image `repeat` times and every other one once. Training shuffles it by seed
    and epoch alone, and augments each place of it by draws of its own.
    """
    own, labeling = stage.mix, stage.labeling
    found = DetectionDataset.open(labeling.folder, class_names=train.class_names)
    others = [record for record in found if own.keep_empty or not record.ignored.all()]
    if not others:
        raise UserError(
            f"the {stage.labeler} finds nothing in {len(found)} images (threshold {labeling.settings.threshold}); "
            f"train it longer, or begin another run with a lower --threshold and {labeling.weights} as --teacher"
        )
    repeat = own.repeat or max(1, round(len(others) / len(train)))
    records = train.with_records([*train] * repeat + others)
    return records, max(1, round(own.length * len(train) * stage.settings.epochs / len(records)))


def _for(stage: Any, epochs: int) -> Any:
    return dataclasses.replace(stage, settings=stage.settings.model_copy(update={"epochs": epochs}))


def check_teacher(file: str | os.PathLike) -> None:
    """Refuse a file that is no detector.

    Raises:
        UserError: in one line.
    """
    if model_files.check_model(file).task != "detector":
        raise UserError(f"{file} is a localizer, which gives every image one box; give a detector.keras")


def check_unseen(file: str | os.PathLike, data: Sources) -> None:
    """Refuse a detector that was trained on validation or test images, where its run says so.

    Raises:
        UserError: in one line.
    """
    paths = _trained_on(file)
    if paths is None:
        log.warning(
            "%s is in no run whose labels can be read: whether it was trained on validation or test images is unknown",
            file,
        )
        return
    held = [record.path for part in (data.val, data.test if data.unseen else ()) for record in part or ()]
    found = held_by({"seen": paths}, held)
    if found:
        raise UserError(
            f"{file} was trained on {len(found)} of the {len(held)} images to validate and to score on, as "
            f"{next(iter(found))}; take the split of its run by --run, or give another teacher"
        )


def _trained_on(detector):
    """The labeled images that a detector was trained on, with those of the one that it continues; None if unknown."""
    file = pathlib.Path(detector).resolve()
    home = next((folder for folder in file.parents[:3] if (folder / "config.yaml").is_file()), None)
    if home is None:
        return None
    level = log.level
    log.setLevel(logging.WARNING)  # labels that are read for this alone are none of the run's
    try:
        config = read_config(home / "config.yaml", expand=False)
        if config.data.train is None:
            return [] if config.data.scenes is not None else None
        train = labeled_parts(config.data)[0]
        train = train.subset(config.data.count, fraction=config.data.fraction, seed=config.seed)
    except UserError as error:
        log.warning("%s", error)
        return None
    finally:
        log.setLevel(level)
    before = [] if model_files.trained(config.weights) is None else _trained_on(config.weights)
    return None if before is None else [*before, *(record.path for record in train)]
