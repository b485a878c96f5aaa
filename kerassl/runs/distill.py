"""Distillation of a teacher's features into a backbone, a stage of a run."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence

from kerassl import callbacks, datasets, models
from kerassl._display import counted
from kerassl._io.keras_file import read_keras_file
from kerassl._io.state import write_json
from kerassl._lazy import keras
from kerassl.backbones.published import imagenet_file
from kerassl.models.kerashub import PREFIX
from kerassl.models.teacher_names import check_teacher, seen_by_teacher
from kerassl.runs.one_stage import run_on_views
from kerassl.runs.plan.stages import Distillation, Plan
from kerassl.runs.plan.training import plan_distillation
from kerassl.runs.pretrain import (
    check_views,
    fit_watched,
    is_whole,
    last,
    save,
    schedule_optimizer,
    starting_backbone,
    views_of,
)  # fmt: skip
from kerassl.runs.results import RunResult
from kerassl.runs.running import TimeLimit, scope
from kerassl.runs.start import start_settings

log = logging.getLogger("kerassl")


def distill(
    images: str | os.PathLike | Sequence[str] | None = None,
    *,
    out: str | os.PathLike,
    config: str | os.PathLike | None = None,
    teacher: str | os.PathLike | None = None,
    teacher_weights: str | os.PathLike | None = None,
    teacher_cut_at: str | None = None,
    student: str | os.PathLike | None = None,
    weights: str | os.PathLike | None = None,
    image_size: int | None = None,
    batch_size: int | None = None,
    epochs: int | None = None,
    contrast: str | None = None,
    contrast_weight: float | None = None,
    seed: int | None = None,
    settings: Mapping[str, object] | None = None,
    resume: bool = False,
    replace: bool = False,
    plan: bool = False,
) -> RunResult | Plan:
    """Learn a backbone from the features of a frozen teacher, on images without labels.

    Args:
        images: Folder or folders of images; a few thousand at least.
        out: Str or path of the run's folder.
        teacher: Str, a network, as `"MobileNet"`, or a preset of KerasHub, as `"kerashub:dinov2_small"`; or str or path
            of a `.keras` file of a network from images in [0, 255] to feature maps.
        teacher_weights: `"imagenet"` (default), `"random"`, or str or path of a file: those of a network.
        teacher_cut_at: Str, the layer after which a network is cut.
        student: Str, the network that learns, as `"MobileNetV3Small"`; or str or path of a `backbone.keras`.
        weights: `"random"` (default), `"imagenet"`, or str or path of a file of weights: those of the student.
        contrast: `"global"` or `"dense"`, contrast of whole images or of locations beside distillation.
        contrast_weight: Float in [0, 1], share of the contrast in the loss.
        config, image_size, batch_size, epochs, seed, settings, resume, replace, plan: As of `kerassl.pretrain`.

    Returns:
        `RunResult`, whose `model` is `backbone.keras`.

    Raises:
        UserError: if a setting, the teacher or an image cannot be used.

    Example:
        >>> found = kerassl.distill("photos/", out="runs/small", teacher="MobileNet", student="MobileNetV3Small")
        >>> backbone = kerassl.backbones.load(found.model)
    """
    arguments = {
        **start_settings(student, weights, "--student"),
        "distill.teacher": None if teacher is None else os.fspath(teacher),
        "distill.teacher_weights": None if teacher_weights is None else os.fspath(teacher_weights),
        "distill.teacher_cut_at": teacher_cut_at,
        "distill.image_size": image_size,
        "distill.batch_size": batch_size,
        "distill.epochs": epochs,
        "distill.contrast": contrast,
        "distill.contrast_weight": contrast_weight,
        "seed": seed,
    }

    def do(stage, data):
        figures = run(stage, data.images)
        return "kerassl: distillation", summary(stage.network.backbone, figures), {"distill": figures}

    return run_on_views(
        plan_distillation, images, arguments, lambda stage, data: check(stage, data.images), do, out=out,
        config=config, settings=settings, grows="distill.epochs", resume=resume, replace=replace, plan=plan,
    )  # fmt: skip


def run(stage: Distillation, images: Sequence[str], limit: TimeLimit | None = None) -> dict:
    """Distill a teacher into a backbone, or resume a distillation that was stopped.

    Args:
        stage: `plan.Distillation`.
        images: Folders and files, or one folder of shards.
        limit: `TimeLimit`, or None.

    Returns:
        Dict of figures, as in `distill.json`: teacher and what it has `seen`, images, batch size, steps, loss (the mean
        of 1 - cosine; about 1 is chance) and that of each level, `contrast` where there is one, minutes, checksum.

    Raises:
        OutOfTimeError: if the limit is over; started again, it continues from its checkpoint.
    """
    figures = stage.kept()
    if figures is not None and is_whole(stage.folder / "backbone.keras"):
        return figures
    plan, folder = stage.settings, stage.folder
    load_size = plan.load_size or plan.image_size + 32
    batches = datasets.image_folder(images, load_size, plan.batch_size, seed=stage.seed, cache=plan.cache)
    steps = int(batches.cardinality())
    total = steps * plan.epochs
    keras.utils.set_random_seed(stage.seed)  # here: what ran before in this process is to change nothing
    with scope(stage.network):
        model = models.FeatureDistillation(
            starting_backbone(stage),
            models.open_teacher(stage.teacher, plan.teacher_weights, plan.teacher_cut_at, plan.teacher_image_size),
            plan.image_size,
            levels=plan.levels,
            contrast=plan.contrast,
            contrast_weight=plan.contrast_weight,
            temperature=plan.temperature,
            augmentation=views_of(plan),
            seed=stage.seed,
        )
        model.compile(schedule_optimizer(plan, total, model.trainable_variables))
    kept = callbacks.Resume(folder / "checkpoints")
    if not kept.epoch and not kept.step:  # a checkpoint has what was measured
        measured = model.adapt(batches, max(1, int(plan.measured_images) // plan.batch_size))
        log.info("the features of %s were measured on %d images", stage.teacher, measured)
    log.info(
        "distilling %s into %s for %s of %s, %d images; a loss of 1 is chance", stage.teacher, stage.network.backbone,
        counted(plan.epochs, "epoch"), counted(steps, "step"), steps * plan.batch_size,
    )  # fmt: skip
    history, minutes = fit_watched(model, batches, stage, plan.epochs, limit or TimeLimit())
    figures = {
        "teacher": stage.teacher,
        "teacher_weights": plan.teacher_weights,
        "teacher_seen": seen_by_teacher(stage.teacher, plan.teacher_weights),
        "images": steps * plan.batch_size,
        "epochs": plan.epochs,
        "batch_size": plan.batch_size,
        "levels": plan.levels,
        "steps": total,
        "loss": last(history, "loss" if plan.contrast is None else "distillation_loss"),
        **{f"{level}_loss": last(history, f"{level}_loss") for level in plan.levels},
        **({} if plan.contrast is None else {"contrast": _contrast(plan, history)}),
        "minutes": minutes,
        "checksum": save(model.backbone, folder),
    }
    write_json(folder / "distill.json", figures)
    return figures


def _contrast(plan, history):
    found = {key: last(history, f"contrast_{key}") for key in ("loss", "accuracy")}
    return {"kind": plan.contrast, "weight": plan.contrast_weight, "temperature": plan.temperature, **found}


def check(stage: Distillation, images: Sequence[str]) -> None:
    """Refuse what cannot be distilled, before TensorFlow is loaded.

    Raises:
        UserError: in one line, if images are missing or do not fill a batch, or a size, a folder or the teacher does
            not fit.
    """
    check_views(stage.settings, images, "distill")
    plan = stage.settings
    check_teacher(stage.teacher, plan.teacher_weights, plan.teacher_cut_at, plan.teacher_image_size)
    if stage.teacher.endswith(".keras"):
        read_keras_file(stage.teacher, "give --teacher a .keras file of a network from images to feature maps")
    elif not stage.teacher.startswith(PREFIX) and plan.teacher_weights in (None, "imagenet"):
        imagenet_file(stage.teacher, "--teacher-weights")


def summary(student: str, figures: dict) -> str:
    """Return the result of a distillation in one sentence, and what its teacher has seen in another.

    Args:
        student: Str, the network's name.
        figures: Dict, as of `run`.
    """
    # None where a run was stopped after its last epoch and only its files were left to write.
    loss = "unknown" if figures["loss"] is None else f"{figures['loss']:.3f}"
    return (
        f"{student} learned features of {figures['teacher']} from {figures['images']} images an epoch, without labels: "
        f"a loss of {loss} (1 is chance). The teacher has seen {figures['teacher_seen']}"
    )
