"""Training on labels and scoring, a stage of a run."""

from __future__ import annotations

import logging
import math
import os
import pathlib
import time
from collections.abc import Mapping, Sequence

from kerassl import backbones, callbacks, detectors, metrics, optimizers, runs
from kerassl._display import counted, verbosity
from kerassl._errors import UserError
from kerassl._io import files as _files
from kerassl._io.state import write_json
from kerassl._lazy import keras
from kerassl.config import schema
from kerassl.config.config import as_flags, label_settings, read_config
from kerassl.config.sources import Sources, check_images, training_batches
from kerassl.datasets.class_names import check_order
from kerassl.detectors import model_files
from kerassl.report.model_images import model_images
from kerassl.runs import pretrain_neck as neck
from kerassl.runs.folder import run_config
from kerassl.runs.one_stage import run_stage
from kerassl.runs.plan.stages import Plan, Training
from kerassl.runs.plan.training import plan_finetuning
from kerassl.runs.results import RunResult
from kerassl.runs.running import CHECKPOINTS, TimeLimit, check_finite, scope
from kerassl.runs.start import check_network, check_start, seen, short_name, start, start_settings
from kerassl.tasks.predict import score
from kerassl.types import METRIC_NAMES

log = logging.getLogger("kerassl")


def finetune(
    *,
    out: str | os.PathLike,
    task: str | None = None,
    detector: str | None = None,
    model: str | os.PathLike | None = None,
    backbone: str | os.PathLike | None = None,
    weights: str | os.PathLike | None = None,
    config: str | os.PathLike | None = None,
    data: str | os.PathLike | None = None,
    data_images: str | os.PathLike | None = None,
    split: str | None = None,
    classes: Sequence[str] | None = None,
    allow_broken_labels: bool | None = None,
    val: str | os.PathLike | Mapping[str, object] | None = None,
    val_split: float | None = None,
    test: str | os.PathLike | Mapping[str, object] | None = None,
    test_split: float | None = None,
    group_by: str | None = None,
    count: int | None = None,
    fraction: float | None = None,
    image_size: int | None = None,
    batch_size: int | None = None,
    epochs: int | None = None,
    seed: int | None = None,
    settings: Mapping[str, object] | None = None,
    resume: bool = False,
    replace: bool = False,
    plan: bool = False,
) -> RunResult | Plan:
    """Train a detector or a localizer on labels, keep its best epoch and score it.

    The validation images are scored about ten times while it trains, and the weights of the best epoch are kept. Where
    there are no validation images, which `test` alone leaves, those of the last epoch are.

    Args:
        out: Str or path of the run's folder.
        task: `"detector"` (default) or `"localizer"`.
        detector: `"yolov8"` (default) or `"retinanet"`.
        model: Str or path of a `detector.keras` or `localizer.keras` whose training continues. Where `data` has other
            classes, its class head is random at first.
        backbone: Str, a network's name; or str or path of a `backbone.keras`, which has weights of its own.
        weights: `"imagenet"` (default), which Keras publishes, `"random"`, or str or path of a file of weights.
        data, data_images, split, classes, allow_broken_labels: The labels to train on, as of `DetectionDataset.open`.
        val, val_split: Str or path of other labels (or dict of path, images and split), or share of `data`, to choose
            the best epoch on.
        test, test_split: The same, to score on. By default both are the data's
            own splits; where it has none and neither is given, 0.1 and 0.2 of `data`.
        group_by: Str, a regular expression; shares keep together the images in whose names it matches the same text.
        count, fraction: Number or share of the training images whose labels are used.
        image_size: Int, side in pixels, a multiple of 32.
        epochs: Int, passes over the training images.
        config, batch_size, seed, settings, resume, replace, plan: As of `kerassl.pretrain`.

    Returns:
        `RunResult`, whose `model` is the trained detector or localizer.

    Raises:
        UserError: if a setting, an image or a label cannot be used.

    Example:
        >>> found = kerassl.finetune(data="annotations.json", backbone="backbone.keras", out="runs/detector")
        >>> detector = kerassl.load(found.model)
    """
    if model is not None:
        if backbone is not None or weights is not None:
            raise UserError(f"--model is {model}, a network with weights; leave --backbone and --weights out")
        model_files.check_model(model)
        weights = model
    before = model_files.trained(weights)
    if before is not None:
        task = _same(task, before, weights)
    task = _resumed(out, task) if resume else task or "detector"
    if detector is not None and task != "detector":
        raise UserError(f"--detector is {detector}, but --task is {task}; leave one of them out")
    labels = label_settings(
        data, data_images, split, classes, allow_broken_labels, val, val_split, test, test_split, group_by, count,
        fraction,
    )  # fmt: skip
    arguments = {
        **labels,
        "detector.kind": detector,
        **start_settings(backbone, weights),
        "seed": seed,
        f"{task}.image_size": image_size,
        f"{task}.batch_size": batch_size,
        f"{task}.epochs": epochs,
    }
    flags = {**(settings or {}), **as_flags(arguments)}
    read = run_config(out, config, flags, resume)
    if getattr(read, task) is None:
        flags = {task: {}, **flags}
        read = run_config(out, config, flags, resume)
    before = model_files.trained(read.weights)
    if before is not None:
        _same(task, before, read.weights)
        flags |= before.settings()
        if "image_size" not in getattr(read, task).model_fields_set:
            flags[f"{task}.image_size"] = before.image_size
        if detector not in (None, before.kind.lower()):
            raise UserError(f"--detector is {detector}, but {read.weights} is a {before.kind}; leave --detector out")
        read = run_config(out, config, flags, resume)
        if getattr(read, task).neck is not None:
            raise UserError(f"{read.weights} has a trained neck; leave {task}.neck out, which trains a new one")
    planned = plan_finetuning(_alone(read, task), out)

    def check(stage, labeled):
        if before is not None:
            check_order(before.class_names, labeled.classes, str(stage.weights))
        neck.check(stage.settings, task, stage.weights)

    def do(stage, labeled):
        check_images(labeled)
        figures, ((name, variant),) = run(stage, labeled), planned.variants.items()
        results = {"start": name, "seen": seen(name) + neck.seen(variant.sections), task: figures}
        name = short_name(name)
        summary = f"{_answer(figures, task, labeled)} {labeled.describe()}. {kept(figures)}".rstrip()
        images = model_images(
            {task: stage.outputs[0]}, task, labeled.test, count=planned.config.explain.images, folder=planned.folder
        )
        return f"kerassl: a {task} fine-tuned", summary, {"variants": {name: results}, "images": images}

    grows, done = f"{task}.epochs", f"{task}.json"
    return run_stage(planned, check, do, grows=grows, done=done, resume=resume, replace=replace, only_plan=plan)


def _answer(figures, task, labeled):
    key = "coco_ap" if task == "detector" else "mean_iou"
    return f"The {task} reaches {METRIC_NAMES[key].name} {100 * figures[key]:.1f} % on {len(labeled.test)} images."


def _same(task, model, path):
    """Return the task of a model; refuse another one."""
    if task not in (None, model.task):
        raise UserError(f"--task is {task}, but {path} is a {model.kind}; give --task {model.task}")
    return model.task


def _resumed(out, task):
    """Return the task of a run that is resumed."""
    path = pathlib.Path(out) / "config.yaml"
    if not path.is_file():
        return task or "detector"
    trained = "detector" if read_config(path, expand=False).localizer is None else "localizer"
    if task not in (None, trained):
        raise UserError(f"--task is {task}, but {out} trains a {trained}; leave --task out")
    return trained


def _alone(config, task):
    """Return a configuration with one variant and one protocol, with all that is needed to resume it."""
    start = config.weights or "imagenet"
    check_start(start, "weights")
    check_network(config)
    section = getattr(config, task).model_copy(update={"variants": None, "labels": None, "seeds": None})
    if start == "random" and "lr_multipliers" not in section.model_fields_set:
        section.lr_multipliers = {}  # nothing in the backbone is to be kept
    changed = {"frozen": None, "localizer": None, "detector": None, task: section, "compare": schema.Compare()}
    variants = {"finetuned": schema.Variant(start=start)}
    return config.model_copy(update={**changed, "weights": start, "variants": variants})


def run(stage: Training, data: Sources, limit: TimeLimit | None = None) -> dict:
    """Train a localizer or a detector on labels, score it on the test records and save it.

    Args:
        stage: `plan.Training` of a localizer or a detector.
        data: `Sources`.
        limit: `TimeLimit`, or None.

    Returns:
        Dict of figures, as in `<task>.json`, with the `best` epoch and its metrics on the validation images, where
        there are some; those of each image are in `<task>_images.json`.

    Raises:
        OutOfTimeError: if the limit is over; started again, it continues from its checkpoint.
    """
    figures = stage.figures()
    if figures is not None:
        return figures
    plan, task, out = stage.settings, stage.protocol, stage.folder
    neck.check(plan, task, stage.weights)
    batches = training_batches(plan, task, data.train, stage.seed)  # what is wrong there is found before a network is
    keras.utils.set_random_seed(stage.seed)
    log.info("training %s on %d labeled images, %s", stage.stage, len(data.train), counted(plan.epochs, "epoch"))
    lines = callbacks.MetricsFile(stage.logs / "metrics.jsonl", stage.stage, plan.batch_size, rewind=True)
    checkpoints = out / f"{task}_checkpoints"
    clock = runs.Clock(checkpoints / "minutes.json")
    train = _frozen if _features_will_do(stage) else _tuned
    model, best = train(stage, data, batches, [lines, clock], limit)
    begun = time.perf_counter()
    with _files.whole(out / f"{task}.keras") as part:
        model.save(part)
    found, predictions, each = score(model, data.test, data.classes)
    figures = found.to_dict()
    if best is not None:
        figures["best"] = {"epoch": best.epoch + 1, "epochs": plan.epochs, "chosen_by": best.monitor, **best.metrics}
        log.info("%s", kept(figures))
    if task == "detector":
        figures["kind"] = plan.kind
    before = model_files.trained(stage.weights)
    if before is not None:
        same = list(before.class_names) == list(data.classes)
        figures["model"] = {
            "file": stage.weights,
            "classes": list(before.class_names),
            "class_head": "kept" if same else "re-initialized",
        }
    if plan.neck:
        figures["neck_minutes"] = neck.minutes(task, out)  # on top of the others
    figures["minutes"] = clock.minutes + (time.perf_counter() - begun) / 60
    metrics.save_predictions(out / f"{task}_predictions.json", predictions)
    write_json(out / f"{task}_images.json", each.to_dict())
    write_json(out / f"{task}.json", figures)
    _files.clear(checkpoints)
    return figures


def kept(figures: dict) -> str:
    """Return in a sentence which epoch of a training was kept; nothing where none was chosen."""
    best = figures.get("best")
    if best is None:
        return ""
    name, value = METRIC_NAMES[best["chosen_by"]].name, best[best["chosen_by"]]
    return f"Epoch {best['epoch']} of {best['epochs']} is kept, the best by {name} ({100 * value:.1f} %)."


def _tuned(stage, data, batches, watching, limit):
    """Train a localizer or a detector on the images, from its checkpoint where there is one; its best epoch."""
    plan, task, out = stage.settings, stage.protocol, stage.folder
    model = _untrained(stage, data.classes, batches.steps * plan.epochs)
    if plan.neck:
        neck.pretrain_neck(plan, task, model, data, out, stage.seed)
    ema = None if plan.ema is None else callbacks.EMA(plan.ema)
    every, evaluation = plan.evaluate_every or math.ceil(plan.epochs / 10), None
    if data.val is not None:
        evaluation = detectors.Evaluation(data.val, data.classes, every, ema=ema, keep_best=True)
    beside = [each for each in (ema, evaluation) if each is not None]
    resume = callbacks.Resume(out / f"{task}_checkpoints", data=batches, keep=2, beside=beside, **CHECKPOINTS)
    nan = callbacks.StopAtNaN(out / f"{task}_nan", batches, resume)
    recipe = [nan, *beside]
    if plan.unfreeze:
        recipe.append(callbacks.GradualUnfreezing(plan.unfreeze))
    if plan.batch_norm == "re-estimated":
        plain = training_batches(plan, task, data.train, stage.seed, flip=False, augmentation=None)
        recipe.append(callbacks.ReestimateBatchNorm(plain, steps=200))
    lines, clock = watching
    in_time = [] if limit is None else [runs.StopInTime(limit, resume, clock)]
    watching = [*recipe, lines, _progress(stage), resume, clock, *in_time]
    model.fit(batches, epochs=plan.epochs, verbose=0, callbacks=watching)
    if nan.message:
        raise UserError(f"{task}: {nan.message}; lower the learning_rate, or fix the labels")
    return model, None if evaluation is None else evaluation.best


def _untrained(stage, classes, steps):
    """Return the compiled localizer or detector."""
    plan = stage.settings
    with scope(stage.network):
        if model_files.trained(stage.weights) is None:
            model = _built(stage, classes)
        else:
            model = _continued(stage, classes)
        if plan.batch_norm == "frozen":
            backbones.freeze_batch_norm(model.backbone)
        if plan.freeze:
            model.backbone.trainable = False
        model.compile(
            plan.optimizer,
            optimizers.WarmupCosine(plan.learning_rate, steps, min(int(plan.warmup * steps), steps - 1)),
            lr_multipliers=plan.lr_multipliers,
            weight_decay=plan.weight_decay,
            clip_norm=plan.clip_norm,
        )
        return model


def _built(stage, classes):
    """Return a localizer or detector over the backbone that the stage starts with."""
    plan = stage.settings
    backbone = start(stage.network, stage.weights, stage.seed)
    if stage.protocol == "localizer":
        return detectors.Localizer(backbone, classes, plan.image_size, levels=plan.levels)
    make = {"retinanet": detectors.RetinaNet, "yolov8": detectors.YOLOV8}[plan.kind]
    own = {"num_filters": plan.num_filters} if plan.num_filters else {}
    return make(backbone, classes, plan.image_size, **own)


def _continued(stage, classes):
    """Return the localizer or detector whose training the stage continues, for these classes."""
    before = model_files.load(stage.weights)
    model = detectors.for_classes(before, classes, stage.settings.image_size)
    if list(classes) == list(before.class_names):
        log.info("continuing from %s with all weights", stage.weights)
    else:
        log.info(
            "continuing from %s, whose class head is re-initialized: its classes were %s, now they are %s",
            stage.weights, ", ".join(before.class_names), ", ".join(classes),
        )  # fmt: skip
    return model


def _progress(stage):
    return runs.Progress(stage.stage.partition(":")[2] or stage.protocol, stage.settings.batch_size)


def _features_will_do(stage):
    """Whether a localizer's head can be trained on features that are computed once."""
    plan = stage.settings
    # On one device: replicas would each want their own features.
    if stage.protocol != "localizer" or not plan.freeze or stage.network.strategy != "none":
        return False
    if model_files.trained(stage.weights) is not None:  # neck and head of which are no new ones
        return False
    plain = type(plan)()
    changed = {name for name in type(plan).model_fields if getattr(plan, name) != getattr(plain, name)}
    changed -= {"labels", "seeds", "variants"}  # of a comparison's grid
    return changed <= {"freeze", "image_size", "batch_size", "epochs", "optimizer", "learning_rate", "levels"}


def _frozen(stage, data, batches, watching, limit):
    """Train the head of a localizer on features that are computed once; no epoch is chosen."""
    plan = stage.settings
    with scope(stage.network):
        backbone = start(stage.network, stage.weights, stage.seed)
    backbone.trainable = False
    settings = {"levels": plan.levels, "verbose": verbosity() == 1}
    features = detectors.FrozenFeatures(backbone, data.train, plan.image_size, **settings)
    model = detectors.fit_frozen(
        features,
        data.classes,
        epochs=plan.epochs,
        batch_size=plan.batch_size,
        learning_rate=plan.learning_rate,
        optimizer=plan.optimizer,
        seed=stage.seed,
        callbacks=[*watching, _progress(stage), keras.callbacks.TerminateOnNaN()],
        verbose=0,
    )
    check_finite(model.history.history, stage.protocol)
    return model, None
