"""Pre-training without labels, a stage of a run."""

from __future__ import annotations

import logging
import math
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Literal

from kerassl import augment, backbones, callbacks, datasets, losses, models, optimizers, runs
from kerassl._display import counted
from kerassl._errors import UserError
from kerassl._io.state import write_json
from kerassl._lazy import keras, tf
from kerassl.config.pretraining import pretraining_advice, view_settings, with_epochs, with_method
from kerassl.config.schema import Pretrain, ViewTraining
from kerassl.datasets.images.files import image_names
from kerassl.report.run import failure
from kerassl.resizing import check_image_size
from kerassl.runs.one_stage import run_on_views
from kerassl.runs.plan.stages import Distillation, Plan, Pretraining
from kerassl.runs.plan.training import count_unlabeled, plan_pretraining
from kerassl.runs.results import RunResult
from kerassl.runs.running import CHECKPOINTS, TimeLimit, check_finite, scope
from kerassl.runs.start import start, start_settings

log = logging.getLogger("kerassl")

_NAMES = {"pretrain": "pre-training", "distill": "distillation"}

DENSE = ("dense_loss", "dense_accuracy", "matched")
"""The logs of the dense contrast of `models.DenseSimCLR`."""


def pretrain(
    images: str | os.PathLike | Sequence[str] | None = None,
    *,
    out: str | os.PathLike,
    config: str | os.PathLike | None = None,
    backbone: str | os.PathLike | None = None,
    weights: str | os.PathLike | None = None,
    image_size: int | None = None,
    batch_size: int | None = None,
    epochs: int | None = None,
    learning_rate: float | None = None,
    views: Literal["mild", "strong"] | None = None,
    method: Literal["simclr", "dense"] | None = None,
    temperature: float | None = None,
    seed: int | None = None,
    settings: Mapping[str, object] | None = None,
    resume: bool = False,
    replace: bool = False,
    plan: bool = False,
) -> RunResult | Plan:
    """Learn a backbone from images without labels.

    Args:
        images: Folder or folders of images; a few thousand at least.
        out: Str or path of the run's folder.
        config: Str or path of a YAML file, or None for the defaults; with `resume` for the run's own.
        backbone: Str, the network, as `"EfficientNetB1"`; or str or path of a `backbone.keras`, which has weights.
        weights: `"random"` (default), `"imagenet"`, which Keras publishes, or str or path of a file of weights.
        image_size: Int, side of the views in pixels, a multiple of 32.
        batch_size: Int.
        epochs: Int, passes over the images, or None for as many as see 100,000 images, 10 to 200.
        learning_rate: Float, the peak of the schedule.
        views: `"mild"`, for small networks, or `"strong"`, SimCLR's own.
        method: `"simclr"`, contrast of whole images, or `"dense"`, of locations, too.
        temperature: Float, 0.1 to 0.2.
        seed: Int.
        settings: Dict from setting to value, as `{"pretrain.decoupled": True}`, over those of the file.
        resume: Bool. Continue the run in the folder; `epochs` may be more.
        replace: Bool. Remove the run in the folder first.
        plan: Bool. Return the plan of the run, and do nothing.

    Returns:
        `RunResult`, whose `model` is `backbone.keras`.

    Raises:
        UserError: if a setting or an image cannot be used.

    Example:
        >>> found = kerassl.pretrain("photos/", out="runs/photos", epochs=100)
        >>> backbone = kerassl.backbones.load(found.model)
    """
    arguments = {
        **start_settings(backbone, weights),
        "pretrain.image_size": image_size,
        "pretrain.batch_size": batch_size,
        "pretrain.epochs": epochs,
        "pretrain.learning_rate": learning_rate,
        "pretrain.temperature": temperature,
        "seed": seed,
        **view_settings(views),
    }

    def planner(read, folder):
        return plan_pretraining(with_epochs(with_method(read, method), count_unlabeled(read)), folder)

    def check_and_advise(stage, data):
        check(stage.settings, data.images)
        first, count = os.fspath(data.images[0]), len(image_names(data.images))
        advice = pretraining_advice(stage.weights, stage.network.backbone, first, count, os.fspath(out))
        if advice is not None and not data.generated:
            log.info(advice)

    def do(stage, data):
        figures = run(stage, data.images)
        return "kerassl: pre-training", summary(stage.network.backbone, figures), {"pretrain": figures}

    return run_on_views(
        planner, images, arguments, check_and_advise, do, out=out, config=config, settings=settings,
        grows="pretrain.epochs", resume=resume, replace=replace, plan=plan,
    )  # fmt: skip


def run(stage: Pretraining, images: Sequence[str], limit: TimeLimit | None = None) -> dict:
    """Pre-train a backbone without labels, or resume a pre-training that was stopped.

    Args:
        stage: `plan.Pretraining`.
        images: Folders and files, or one folder of shards.
        limit: `TimeLimit`, or None.

    Returns:
        Dict of figures, as in `pretrain.json`: images, batch size, steps, loss (of whole images, beside its chance),
        whether it `learned` (None if there were too few steps to decide) and the `alarms` of
        `callbacks.CollapseMonitor`, minutes, checksum; with dense contrast also its settings and figures.

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
        model = _model(stage)
        model.compile(schedule_optimizer(plan, total, model.trainable_variables))
    chance = math.log(2 * plan.batch_size - (2 if plan.decoupled else 1))
    log.info(
        "pre-training %s for %s of %s, %d images; a loss of %.2f nats is chance",
        stage.network.backbone, counted(plan.epochs, "epoch"), counted(steps, "step"), steps * plan.batch_size, chance,
    )  # fmt: skip
    health = callbacks.CollapseMonitor(plan.batch_size)
    history, minutes = fit_watched(model, batches, stage, plan.epochs, limit or TimeLimit(), [health])
    checksum = save(model.backbone, folder)
    figures = {
        "images": steps * plan.batch_size,
        "epochs": plan.epochs,
        "batch_size": plan.batch_size,
        "decoupled": plan.decoupled,
        "steps": total,
        "chance": chance,
        "loss": last(history, "loss" if plan.dense is None else "global_loss"),
        "contrast_accuracy": last(history, "contrast_accuracy"),
        "learned": health.learned,
        "alarms": [
            {"step": step, "kind": kind, "message": message, "at_end": kind in (health.at_end or ())}
            for step, kind, message in health.alarms
        ],
        "minutes": minutes,
        "checksum": checksum,
    }
    if plan.dense is not None:
        found = {name.removeprefix("dense_"): last(history, name) for name in DENSE}
        figures["dense"] = {**plan.dense.model_dump(), **found}
    write_json(folder / "pretrain.json", figures)
    return figures


def check(plan: Pretrain, images: Sequence[str]) -> None:
    """Refuse what cannot be pre-trained on, before TensorFlow is loaded.

    Args:
        plan: The section `pretrain`.
        images: Folders and files, or one folder of shards.

    Raises:
        UserError: in one line, if images are missing or do not fill a batch, or a size or a folder does not fit.
    """
    if plan.batch_size < 2:
        raise UserError(
            f"pretrain.batch_size (--batch-size) is {plan.batch_size}: contrast needs other images in a batch; "
            "give 2 or more, as 64"
        )
    check_views(plan, images, "pretrain")


def check_views(plan: ViewTraining, images: Sequence[str], section: str) -> None:
    """Refuse what no training on views can use; `section` is the name of `plan`.

    Raises:
        UserError: in one line, if images are missing or do not fill a batch, or a size or a folder does not fit.
    """
    load_size = plan.load_size or plan.image_size + 32
    for size in (plan.image_size, load_size):
        check_image_size(size)
    if load_size < plan.image_size:
        raise UserError(f"{section}.load_size is {load_size}, smaller than the views of {plan.image_size} pixels")
    for folder in (plan.probe.train, plan.probe.test) if plan.probe else ():
        if folder is not None and not pathlib.Path(folder).is_dir():
            raise UserError(
                f"there is no folder {folder} for {section}.probe; give one with a sub-folder for each class"
            )
    count = len(image_names(images))
    if count < plan.batch_size:
        raise UserError(
            f"{counted(count, 'image')} cannot fill one batch of {plan.batch_size}; give {section}.batch_size "
            f"(--batch-size) of at most {count}, or more images"
        )


def summary(backbone: str, figures: dict) -> str:
    """Return the result of a pre-training in one sentence, and the alarms of one that failed.

    Args:
        backbone: Str, the network's name.
        figures: Dict, as of `run`.
    """
    # None where a run was stopped after its last epoch and only its files were left to write.
    loss = "unknown" if figures["loss"] is None else f"{figures['loss']:.3f} nats"
    what = f"{figures['images']} images an epoch, without labels: a loss of {loss} ({figures['chance']:.3f} is chance)"
    failed = failure(figures)
    if failed:
        return f"{backbone} did not learn from {what}. {failed}"
    if figures.get("learned") is None:
        return f"{backbone} was trained for {figures['steps']} steps on {what}."
    return f"{backbone} learned from {what}."


def fit_watched(
    model: keras.Model,
    batches: tf.data.Dataset,
    stage: Pretraining | Distillation,
    epochs: int,
    limit: TimeLimit,
    watching: Sequence[keras.callbacks.Callback] = (),
) -> tuple[dict, float]:
    """Train a compiled model with logs, probes, checkpoints and a limit of time.

    Args:
        model: Compiled model of views, as `models.SimCLR`.
        batches: `tf.data.Dataset` of a reader.
        stage: `plan.Pretraining` or `plan.Distillation`.
        epochs: Int.
        limit: `TimeLimit`.
        watching: Further callbacks.

    Returns:
        Dict of the logs by epoch, and the minutes over all stops.

    Raises:
        UserError: if the loss became NaN or infinite.
        OutOfTimeError: if the limit is over.
    """
    plan, folder = stage.settings, stage.folder
    throughput = callbacks.Throughput(plan.batch_size)
    batches = throughput.watch(batches)
    resume = callbacks.Resume(folder / "checkpoints", data=batches, **CHECKPOINTS)
    clock = runs.Clock(folder / "checkpoints" / "minutes.json")
    history = model.fit(
        batches,
        epochs=epochs,
        verbose=0,
        callbacks=[
            throughput,
            callbacks.LearningRate(),
            *watching,
            *([callbacks.GradualUnfreezing(plan.unfreeze)] if plan.unfreeze else []),
            *_probes(plan),
            callbacks.MetricsFile(folder / "metrics.jsonl", stage.kind, plan.batch_size, every=20, rewind=True),
            runs.Progress(_NAMES[stage.kind], plan.batch_size),
            keras.callbacks.TensorBoard(folder / "tensorboard", write_graph=False),
            resume,
            clock,
            runs.StopInTime(limit, resume, clock),
        ],
    ).history
    check_finite(history, _NAMES[stage.kind])
    return history, clock.minutes


def starting_backbone(stage: Pretraining | Distillation) -> keras.Model:
    """Return the backbone that pre-training begins with, with batch normalization frozen where the section says so."""
    backbone = start(stage.network, stage.weights, stage.seed)
    if stage.settings.batch_norm == "frozen":
        backbones.freeze_batch_norm(backbone)
    return backbone


def save(backbone: keras.Model, folder: pathlib.Path) -> str:
    """Save a backbone with nothing frozen, and return its checksum."""
    for layer in backbone.layers:
        layer.trainable = True
    return backbones.save(backbone, folder / "backbone.keras")


def is_whole(file: pathlib.Path) -> bool:
    """Whether a file of weights exists and can be read; a damaged one is logged."""
    from kerassl.backbones.weights import read  # here: it loads h5py, which a refusal can do without

    try:
        read(file)
    except UserError as error:
        if file.exists():
            log.warning("%s; it is written again", error)
        return False
    return True


def last(history: Mapping[str, Sequence[float]], name: str) -> float | None:
    """Return the last value of a log, or None where no epoch was left."""
    return history[name][-1] if history.get(name) else None


def views_of(plan: ViewTraining) -> augment.SimCLRViews:
    """Return the augmentation of a section."""
    return augment.SimCLRViews(plan.image_size, scale=(plan.smallest_crop, 1.0), strength=plan.strength)


def _model(stage):
    plan, backbone = stage.settings, starting_backbone(stage)
    settings = {
        "projection_dim": plan.projection_dim,
        "hidden_dim": plan.hidden_dim,
        "loss": losses.InfoNCE(plan.temperature, plan.decoupled),
        "augmentation": views_of(plan),
        "seed": stage.seed,
    }
    if plan.dense is None:
        return models.SimCLR(backbone, plan.image_size, **settings)
    return models.DenseSimCLR(
        backbone,
        plan.image_size,
        levels=plan.dense.levels,
        dense_weight=plan.dense.weight,
        dense_temperature=plan.dense.temperature,
        locations_per_image=plan.dense.locations_per_image,
        min_negative_distance=plan.dense.min_negative_distance,
        **settings,
    )


def _probes(plan):
    if plan.probe is None:
        return []
    settings = {"image_size": plan.image_size, "every": plan.probe.every}
    return [make(plan.probe.train, plan.probe.test, **settings) for make in (callbacks.KNNProbe, callbacks.LinearProbe)]


def schedule_optimizer(plan: ViewTraining, total: int, variables: Sequence) -> keras.optimizers.Optimizer:
    """Return the optimizer of a section with its schedule over `total` steps."""
    own = optimizers.scaled_learning_rate(plan.batch_size) if plan.optimizer == "lars" else 1e-3
    schedule = optimizers.WarmupCosine(plan.learning_rate or own, total, min(int(plan.warmup * total), total - 1))
    return optimizers.get(plan.optimizer, schedule, weight_decay=plan.weight_decay, variables=variables)
