"""The stages of a run: pre-training, fine-tuning, scoring. Each leaves whole files and is skipped where they stand."""

import contextlib
import json
import logging
import math
import shutil
import sys
import time

import keras
import numpy as np
import tensorflow as tf

from kerassl import (
    _files,
    augment,
    backbones,
    callbacks,
    datasets,
    detectors,
    losses,
    metrics,
    models,
    optimizers,
)
from kerassl._errors import UserError
from kerassl.datasets.shard_index import is_shards

log = logging.getLogger("kerassl")

EVERY = 100
"""Steps between checkpoints."""


def prepare(config):
    """Sets seed and precision of the process, as the configuration says."""
    keras.utils.set_random_seed(config.seed)
    keras.mixed_precision.set_global_policy(config.precision)


def scope(config):
    """The scope of the distribution strategy that the configuration names."""
    if config.strategy == "none":
        return contextlib.nullcontext()
    return tf.distribute.MirroredStrategy(config.devices).scope()


def pretrain(config, images, folder):
    """Pre-trains a backbone, or takes up a pre-training that was stopped.

    Args:
        config: `Config`.
        images: list of folders and files, or of one folder of shards.
        folder: `pathlib.Path` of the run.

    Returns:
        Dict of figures, as it stands in `pretrain.json`: photographs, batch size, steps, loss, minutes, checksum.
    """
    done = folder / "pretrain.json"
    if done.exists():
        return json.loads(done.read_text())
    plan = config.pretrain
    load_size = plan.load_size or plan.image_size + 32
    packed = len(images) == 1 and is_shards(images[0])
    read = datasets.shards if packed else datasets.image_folder
    source = images[0] if packed else images
    batches = read(source, load_size, plan.batch_size, seed=config.seed, cache=plan.cache)
    throughput = callbacks.Throughput(plan.batch_size)
    batches = throughput.watch(batches)
    resume = callbacks.Resume(folder / "checkpoints", data=batches, every=EVERY)
    probes = _probes(plan)
    steps = int(batches.cardinality())
    total = steps * plan.epochs
    with scope(config):
        model = models.SimCLR(
            config.backbone,
            plan.image_size,
            projection_dim=plan.projection_dim,
            hidden_dim=plan.hidden_dim,
            loss=losses.InfoNCE(plan.temperature, plan.decoupled),
            augmentation=augment.SimCLRViews(
                plan.image_size, crop_area=(plan.smallest_crop, 1.0), strength=plan.strength
            ),
            seed=config.seed,
        )
        model.compile(_optimizer(plan, total, model.trainable_variables))
    chance = math.log(2 * plan.batch_size - (2 if plan.decoupled else 1))
    log.info(
        "pre-training %s on about %d images, %d epochs of %d steps; a loss of %.2f nats is chance",
        config.backbone, steps * plan.batch_size, plan.epochs, steps, chance,
    )  # fmt: skip
    clock = _Clock(folder / "checkpoints" / "minutes.json")
    history = model.fit(
        batches,
        epochs=plan.epochs,
        verbose=verbosity(),
        callbacks=[
            throughput,
            callbacks.LearningRate(),
            callbacks.Health(plan.batch_size),
            *probes,
            callbacks.MetricsFile(folder / "metrics.jsonl", "pretrain", plan.batch_size, every=20),
            keras.callbacks.TensorBoard(folder / "tensorboard", write_graph=False),
            resume,
            clock,
        ],
    ).history
    _check_finite(history, "pre-training")
    checksum = backbones.save(model.backbone, folder / "backbone.keras")
    figures = {
        "images": steps * plan.batch_size,
        "batch_size": plan.batch_size,
        "decoupled": plan.decoupled,
        "steps": total,
        "chance": chance,
        "loss": history["loss"][-1] if history.get("loss") else None,
        "contrast_accuracy": history["contrast_accuracy"][-1] if history.get("contrast_accuracy") else None,
        "minutes": clock.minutes,
        "checksum": checksum,
    }
    write_json(done, figures)
    return figures


def _probes(plan):
    if plan.probe is None:
        return []
    settings = {"image_size": plan.image_size, "every": plan.probe.every}
    return [make(plan.probe.train, plan.probe.test, **settings) for make in (callbacks.KNNProbe, callbacks.LinearProbe)]


def _optimizer(plan, total, variables):
    own = optimizers.scaled_learning_rate(plan.batch_size) if plan.optimizer == "lars" else 1e-3
    schedule = optimizers.WarmupCosine(plan.learning_rate or own, total, min(int(plan.warmup * total), total - 1))
    return optimizers.get(plan.optimizer, schedule, weight_decay=plan.weight_decay, variables=variables)


def start(config, weights, folder):
    """The backbone that an arm begins with.

    Args:
        config: `Config`.
        weights: `"self-supervised"`, `"random"`, `"imagenet"`, or the path of a file of weights.
        folder: `pathlib.Path` of the run, which holds the pre-trained `backbone.keras`.

    Returns:
        `keras.Model`.
    """
    if weights == "self-supervised":
        return backbones.load(folder / "backbone.keras")
    if weights == "random":
        keras.utils.set_random_seed(config.seed)
        return backbones.build(config.backbone)
    if str(weights).endswith(".keras"):
        return backbones.load(weights)
    return backbones.build(config.backbone, weights=weights)


def finetune(config, task, weights, data, folder, out, stage):
    """Trains a localiser or a detector on labels, scores it on the test records and saves it.

    Args:
        config: `Config`.
        task: `"localizer"` or `"detector"`.
        weights: what the backbone begins with, as `start` takes it.
        data: `Sources`.
        folder: `pathlib.Path` of the run.
        out: `pathlib.Path`. The folder for the model, its predictions and its figures.
        stage: str. Its name in `metrics.jsonl`.

    Returns:
        Dict of figures, as it stands in `<task>.json`.
    """
    done = out / f"{task}.json"
    if done.exists():
        return json.loads(done.read_text())
    plan = getattr(config, task)
    batches = training_batches(config, task, data.train)  # what is wrong there is told before a network is built
    keras.utils.set_random_seed(config.seed)
    log.info("training %s on %d labelled images, %d epochs", stage, len(data.train), plan.epochs)
    lines = callbacks.MetricsFile(folder / "metrics.jsonl", stage, plan.batch_size)
    checkpoints = out / f"{task}_checkpoints"
    clock = _Clock(checkpoints / "minutes.json")
    train = _frozen if _features_will_do(config, task) else _tuned
    model = train(config, task, weights, data, folder, batches, [lines, clock], out)
    begun = time.perf_counter()
    with _files.whole(out / f"{task}.keras") as part:
        model.save(part)
    figures, predictions = score(model, data.test, data.classes)
    if task == "detector":
        figures["kind"] = plan.kind
    figures["minutes"] = clock.minutes + (time.perf_counter() - begun) / 60
    metrics.save_predictions(out / f"{task}_predictions.json", predictions)
    write_json(done, figures)
    shutil.rmtree(checkpoints)
    return figures


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


def _tuned(config, task, weights, data, folder, batches, watching, out):
    """A localiser or a detector, trained on the images; it goes on where it was stopped."""
    plan = getattr(config, task)
    model = _untrained(config, task, weights, data.classes, folder, batches.steps * plan.epochs)
    average = None if plan.average is None else callbacks.WeightAverage(plan.average)
    beside = [] if average is None else [average]
    resume = callbacks.Resume(out / f"{task}_checkpoints", data=batches, every=EVERY, keep=2, beside=beside)
    nan = callbacks.StopAtNaN(out / f"{task}_nan", batches, resume)
    recipe = [nan, *beside]
    if plan.thaw:
        recipe.append(callbacks.Thaw(plan.thaw))
    if plan.batch_norm == "re-estimated":
        plain = training_batches(config, task, data.train, flip=False, augmentation=None)
        recipe.append(callbacks.ReestimateBatchNorm(plain, steps=200))
    if plan.evaluate_every is not None:
        recipe.append(callbacks.Evaluation(data.test, data.classes, plan.evaluate_every, average=average))
    lines, clock = watching
    resume.run(
        model,
        model.fit,
        batches,
        epochs=plan.epochs,
        verbose=verbosity(),
        callbacks=[*recipe, lines, resume, clock],
        shuffle=False,  # the readers do, and Keras would warn that it cannot
    )
    if nan.message:
        raise UserError(f"{task}: {nan.message}; lower the learning_rate, or mend the labels")
    return model


def _untrained(config, task, weights, classes, folder, steps):
    """The localiser or detector that is to be trained, compiled."""
    plan = getattr(config, task)
    with scope(config):
        backbone = start(config, weights, folder)
        if plan.batch_norm == "frozen":
            backbones.freeze_batch_norm(backbone)
        make = models.Localizer if task == "localizer" else getattr(detectors, plan.kind)
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
        )


def _features_will_do(config, task):
    """Whether a localiser's head can be trained on features that were computed once."""
    plan = getattr(config, task)
    # On one device: replicas would each want their own features.
    if task != "localizer" or not plan.freeze or config.strategy != "none":
        return False
    plain = type(plan)()
    changed = {name for name in type(plan).model_fields if getattr(plan, name) != getattr(plain, name)}
    return changed <= {"freeze", "image_size", "batch_size", "epochs", "optimizer", "learning_rate"}


def _frozen(config, task, weights, data, folder, batches, watching, out):
    """A localiser whose head was trained on features that were computed once."""
    plan = getattr(config, task)
    with scope(config):
        backbone = start(config, weights, folder)
    features = models.FrozenFeatures(backbone, data.train, plan.image_size, verbose=verbosity() == 1)
    model = models.fit_frozen(
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
    _check_finite(model.history.history, task)
    return model


def score(model, records, classes):
    """Figures of a localiser or a detector on records, and its predictions."""
    if not isinstance(model, models.Localizer):
        predictions = detections(model, records)
        return metrics.evaluate_detections(predictions, records, classes), predictions
    records = [record for record in records if record.largest() is not None]
    predictions, logits = models.localizer_predictions(model, records)
    return scored(predictions, logits, records, classes), predictions


def scored(predictions, logits, records, classes):
    """Figures of what `models.localizer_predictions` returned for records, each of which has an object."""
    labels = np.array([record.classes[record.largest()] for record in records])
    figures = metrics.evaluate_detections(predictions, records, classes)
    figures = {key: figures[key] for key in ("mean_iou", "loc_acc_50", "loc_acc_70")}
    return {**figures, **metrics.topk(logits, labels, (1, min(3, len(classes))))}


def detections(model, images, score_threshold=0.01):
    """What a detector or a localiser finds in records or files, by image id."""
    if isinstance(model, models.Localizer):
        return models.localizer_predictions(model, images)[0]
    return detectors.predict(model, images, score_threshold=score_threshold, verbose=verbosity() == 1)


def _check_finite(history, stage):
    if not all(math.isfinite(loss) for loss in history.get("loss", [])):
        raise UserError(f"the loss of {stage} became NaN or infinite; lower its learning_rate in the configuration")


class _Clock(keras.callbacks.Callback):
    """Adds up the minutes of a run over its stops."""

    def __init__(self, path):
        super().__init__()
        self.path = path
        self.minutes = json.loads(path.read_text())["minutes"] if path.exists() else 0.0

    def on_epoch_begin(self, epoch, logs=None):
        self._begun = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.minutes += (time.perf_counter() - self._begun) / 60
        write_json(self.path, {"minutes": self.minutes})


def verbosity():
    """1, a progress bar, on a terminal; 2, a line an epoch, in a file."""
    return 1 if sys.stdout.isatty() else 2


def write_json(path, content):
    """Writes JSON whole."""
    with _files.whole(path) as part:
        part.write_text(json.dumps(content, indent=1, default=float) + "\n", encoding="utf-8")
