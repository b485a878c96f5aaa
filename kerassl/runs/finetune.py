"""Training on labels and scoring. Whole files are left, and the stage is skipped where they stand."""

import logging
import time

from kerassl import augment, backbones, callbacks, datasets, detectors, metrics, optimizers, runs
from kerassl._errors import UserError
from kerassl._io import files as _files
from kerassl._lazy import keras
from kerassl.runs import pretrain_neck as neck
from kerassl.runs import schema as sections
from kerassl.runs.kept import read_kept
from kerassl.runs.predict import score
from kerassl.runs.running import EVERY, check_finite, scope, verbosity, write_json
from kerassl.runs.start import start

log = logging.getLogger("kerassl")


def finetune(config, task, weights, data, folder, out, stage, limit=None):
    """Trains a localiser or a detector on labels, scores it on the test records and saves it.

    Args:
        config: `Config`.
        task: `"localizer"` or `"detector"`.
        weights: what the backbone begins with, as `start` takes it.
        data: `Sources`.
        folder: `pathlib.Path`. Where `metrics.jsonl` stands.
        out: `pathlib.Path`. The folder for the model, its predictions and its figures.
        stage: str. Its name in `metrics.jsonl`.
        limit: `TimeLimit`, or None.

    Returns:
        Dict of figures, as it stands in `<task>.json`. What each image says stands in `<task>_images.json`.

    Raises:
        OutOfTimeError: if the limit is over; started again, it goes on in its checkpoint.
    """
    done, images = out / f"{task}.json", out / f"{task}_images.json"
    figures = read_kept(done, "minutes")
    if figures is not None and read_kept(images, "ids") is not None:
        return figures
    plan = getattr(config, task)
    neck.check(plan, task, weights)
    batches = training_batches(config, task, data.train)  # what is wrong there is told before a network is built
    keras.utils.set_random_seed(config.seed)
    log.info("training %s on %d labeled images, %d epochs", stage, len(data.train), plan.epochs)
    lines = callbacks.MetricsFile(folder / "metrics.jsonl", stage, plan.batch_size, rewind=True)
    checkpoints = out / f"{task}_checkpoints"
    clock = runs.Clock(checkpoints / "minutes.json")
    train = _frozen if _features_will_do(config, task) else _tuned
    model = train(config, task, weights, data, batches, [lines, clock], out, limit)
    begun = time.perf_counter()
    with _files.whole(out / f"{task}.keras") as part:
        model.save(part)
    figures, predictions, each = score(model, data.test, data.classes)
    if task == "detector":
        figures["kind"] = plan.kind
    if plan.neck:
        figures["neck_minutes"] = neck.minutes(task, out)  # on top of the others
    figures["minutes"] = clock.minutes + (time.perf_counter() - begun) / 60
    metrics.save_predictions(out / f"{task}_predictions.json", predictions)
    write_json(images, each)
    write_json(done, figures)
    _files.clear(checkpoints)
    return figures


def alone(config, task, start):
    """The configuration of a run that fine-tunes one network, with all that is needed to resume it.

    Args:
        config: `Config`.
        task: `"localizer"` or `"detector"`.
        start: what the backbone begins with, as `start.start` takes it.

    Returns:
        `Config` whose one variant is that network, and whose one way of measuring is that task.
    """
    plan = getattr(config, task).model_copy(update={"variants": None, "labels": None, "seeds": None})
    other = "detector" if task == "localizer" else "localizer"
    variants, compared = {"finetuned": sections.Variant(start=start)}, sections.Compare()
    return config.model_copy(
        update={"variants": variants, "compare": compared, "frozen": None, other: None, task: plan}
    )


def task_of(config):
    """The task of a configuration that `alone` made."""
    return "detector" if config.localizer is None else "localizer"


def start_of(config):
    """What the backbone begins with, of a configuration that `alone` made."""
    return next(iter(config.variants.values())).start


def training_batches(config, task, records, **changes):
    """What a localiser or a detector is trained on.

    Args:
        config: `Config`.
        task: `"localizer"` or `"detector"`.
        records: list of `datasets.Record`.
        **changes: those of `datasets.detection_batches`, over what the configuration says.

    Returns:
        `tf.data.Dataset`.
    """
    plan = getattr(config, task)
    made = plan.augmentation and augment.BoxAugmentation(**plan.augmentation.model_dump())
    settings = {"shuffle": True, "flip": made is None, "augmentation": made, "seed": config.seed, "erase": plan.erase}
    settings |= changes
    read = datasets.single_object_batches if task == "localizer" else datasets.detection_batches
    return read(records, plan.image_size, settings.pop("batch_size", plan.batch_size), **settings)


def _tuned(config, task, weights, data, batches, watching, out, limit):
    """A localiser or a detector, trained on the images; it goes on where it was stopped."""
    plan = getattr(config, task)
    model = _untrained(config, task, weights, data.classes, batches.steps * plan.epochs)
    if plan.neck:
        neck.pretrain_neck(config, task, model, data, out)
    ema = None if plan.ema is None else callbacks.EMA(plan.ema)
    beside = [] if ema is None else [ema]
    resume = callbacks.Resume(out / f"{task}_checkpoints", data=batches, every=EVERY, keep=2, beside=beside)
    nan = callbacks.StopAtNaN(out / f"{task}_nan", batches, resume)
    recipe = [nan, *beside]
    if plan.unfreeze:
        recipe.append(callbacks.GradualUnfreezing(plan.unfreeze))
    if plan.batch_norm == "re-estimated":
        plain = training_batches(config, task, data.train, flip=False, augmentation=None)
        recipe.append(callbacks.ReestimateBatchNorm(plain, steps=200))
    if plan.evaluate_every is not None:
        recipe.append(detectors.Evaluation(data.test, data.classes, plan.evaluate_every, ema=ema))
    lines, clock = watching
    in_time = [] if limit is None else [runs.StopInTime(limit, resume, clock)]
    resume.run(
        model,
        model.fit,
        batches,
        epochs=plan.epochs,
        verbose=verbosity(),
        callbacks=[*recipe, lines, resume, clock, *in_time],
        shuffle=False,  # the readers do, and Keras would warn that it cannot
    )
    if nan.message:
        raise UserError(f"{task}: {nan.message}; lower the learning_rate, or mend the labels")
    return model


def _untrained(config, task, weights, classes, steps):
    """The localiser or detector that is to be trained, compiled."""
    plan = getattr(config, task)
    with scope(config):
        backbone = start(config, weights)
        if plan.batch_norm == "frozen":
            backbones.freeze_batch_norm(backbone)
        if task == "localizer":
            make, own = detectors.Localizer, {"levels": plan.levels}
        else:
            make, own = getattr(detectors, plan.kind), {"width": plan.width} if plan.width else {}
        return make(
            backbone,
            classes,
            image_size=plan.image_size,
            learning_rate=optimizers.WarmupCosine(plan.learning_rate, steps, min(int(plan.warmup * steps), steps - 1)),
            learning_rates=plan.learning_rates,
            optimizer=plan.optimizer,
            weight_decay=plan.weight_decay,
            clip_norm=plan.clip_norm,
            freeze=plan.freeze,
            **own,
        )


def _features_will_do(config, task):
    """Whether a localiser's head can be trained on features that were computed once."""
    plan = getattr(config, task)
    # On one device: replicas would each want their own features.
    if task != "localizer" or not plan.freeze or config.strategy != "none":
        return False
    plain = type(plan)()
    changed = {name for name in type(plan).model_fields if getattr(plan, name) != getattr(plain, name)}
    changed -= {"labels", "seeds", "variants"}  # of a comparison's grid
    return changed <= {"freeze", "image_size", "batch_size", "epochs", "optimizer", "learning_rate", "levels"}


def _frozen(config, task, weights, data, batches, watching, out, limit):
    """A localiser whose head was trained on features that were computed once."""
    plan = getattr(config, task)
    with scope(config):
        backbone = start(config, weights)
    settings = {"levels": plan.levels, "verbose": verbosity() == 1}
    features = detectors.FrozenFeatures(backbone, data.train, plan.image_size, **settings)
    model = detectors.fit_frozen(
        features,
        data.classes,
        epochs=plan.epochs,
        batch_size=plan.batch_size,
        learning_rate=plan.learning_rate,
        optimizer=plan.optimizer,
        seed=config.seed,
        callbacks=[*watching, keras.callbacks.TerminateOnNaN()],
        verbose=verbosity(),
    )
    check_finite(model.history.history, task)
    return model
