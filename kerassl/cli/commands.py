"""What each command of `kerassl` does.

Each first refuses what is invalid, by means that need no TensorFlow, whose import takes seconds; then it works.
"""

import pathlib
import time

import numpy as np
from PIL import Image
from tqdm import tqdm

from kerassl import backbones, datasets, detectors, metrics, serving
from kerassl import explain as _explain
from kerassl._errors import UserError
from kerassl._io import file_names as _names
from kerassl._io import files as _files
from kerassl._lazy import tf
from kerassl.backbones.families import canonical
from kerassl.comparison import execute as _compare
from kerassl.comparison.variants import seen
from kerassl.datasets.pipeline.letterboxed import identified, letterboxed_batches
from kerassl.report import data_card as _card
from kerassl.report.data_card_plot import draw_card
from kerassl.resizing import check_image_size
from kerassl.runs import audit as _audit_report
from kerassl.runs import config as configuration
from kerassl.runs import evaluate as _scoring
from kerassl.runs import explain as _arms_report
from kerassl.runs import features as _geometry_report
from kerassl.runs import (
    finetune as finetuning,
)
from kerassl.runs import inspect as _inspection
from kerassl.runs import (
    outputs,
    running,
)
from kerassl.runs import (
    predict as predicting,
)
from kerassl.runs import (
    pretrain as pretraining,
)
from kerassl.runs import (
    pretrain_neck as neck,
)
from kerassl.runs.config import read_config
from kerassl.runs.folder import run_folder
from kerassl.runs.model_files import check_model, describe, load
from kerassl.runs.results import write_results
from kerassl.runs.run_card import run_card
from kerassl.runs.sources import check_decoded, sources
from kerassl.runs.start import check_network, check_start
from kerassl.runs.time_limit import OutOfTimeError, TimeLimit
from kerassl.runs.views import contact_sheet, training_sheet
from kerassl.serving import batching


def pretrain(options):
    """Learns a backbone from images without labels."""
    flags = {
        "data.images": options.images,
        "backbone": options.backbone,
        "pretrain.image_size": options.image_size,
        "pretrain.batch_size": options.batch_size,
        "pretrain.epochs": options.epochs,
        "pretrain.temperature": options.temperature,
        "seed": options.seed,
    }
    config = _run_config(options, flags)
    check_network(config)
    begun = time.time()
    with _folder(options, config, grows="pretrain.epochs") as folder:
        data = sources(config, folder, labels=False)
        pretraining.check(config.pretrain, data.images, "--batch-size")
        running.prepare(config)
        figures = pretraining.pretrain(config, data.images, folder)
        summary = pretraining.summary(config.backbone, figures)
        print(f"{summary} {figures['minutes']:.1f} minutes.")
        page = write_results(
            folder,
            "kerassl: pre-training",
            summary,
            begun,
            generated=data.generated,
            pretrain=figures,
        )
        print(f"backbone: {folder / 'backbone.keras'}")
        print(f"report: {page}")


def finetune(options):
    """Trains a detector or a localiser on labels."""
    before = _resumed(options)
    task = options.task or (finetuning.task_of(before) if before else "detector")
    if before and task != finetuning.task_of(before):
        raise UserError(f"--task is {task}, but {options.out} trains a {finetuning.task_of(before)}; leave --task out")
    if options.detector and task != "detector":
        raise UserError(f"--detector is {options.detector}, but --task is {task}; leave one of them out")
    flags = {
        **_voc_flags(options, "train"),
        "detector.kind": options.detector,
        "data.voc.fraction": options.fraction,
        "data.voc.count": options.count,
        "seed": options.seed,
        f"{task}.image_size": options.image_size,
        f"{task}.batch_size": options.batch_size,
        f"{task}.epochs": options.epochs,
    }
    config = _run_config(options, flags)
    if getattr(config, task) is None:
        config = _run_config(options, {**flags, task: {}})
    start = options.backbone or (finetuning.start_of(before) if before else "random")
    if canonical(start) is not None:
        config, start = config.model_copy(update={"backbone": start}), "random"
    elif start != "random":
        check_start(start, "--backbone")
    check_network(config)
    config = finetuning.alone(config, task, start)
    begun = time.time()
    with _folder(options, config, grows=f"{task}.epochs", done=f"{task}.json") as folder:
        data = sources(config, folder)
        neck.check(getattr(config, task), task, start)
        check_decoded(data)
        running.prepare(config)
        figures = finetuning.finetune(config, task, start, data, folder, folder, task)
        _print_figures(figures)
        after = neck.seen({task: getattr(config, task)})
        page = write_results(
            folder,
            f"kerassl: a {task} fine-tuned",
            f"{len(data.train)} labelled images to fine-tune on, {len(data.test)} to score on, which it has not seen.",
            begun,
            generated=data.generated,
            variants={start: {"start": start, "seen": seen(start) + after, task: figures}},
        )
        print(f"{task}: {folder / f'{task}.keras'}")
        print(f"report: {page}")


def predict(options):
    """Detects objects in images and draws them."""
    outputs.check_folder(options.out)
    _files.check_outside(options.out, options.images)
    check_model(options.model)
    _, paths = identified(options.images)
    model = load(options.model)
    with _files.whole(options.out, replace=False) as part:
        found = predicting.detections(model, paths)
        (part / "drawings").mkdir(parents=True)
        metrics.save_predictions(part / "predictions.json", found)
        for number, path in enumerate(tqdm(found, desc="draw", unit="image", disable=running.verbosity() == 2), 1):
            picture = detectors.draw(path, found[path], model.classes, score_threshold=options.score)
            # Numbered: files of two folders may share a name.
            Image.fromarray(picture).save(
                part / "drawings" / f"{number:04d}_{_names.file_name(pathlib.Path(path).stem)}.png"
            )
    objects = sum(int(np.sum(each["scores"] >= options.score)) for each in found.values())
    print(f"{objects} objects with a score of {options.score} or more in {_read(found, paths)}: {options.out}")


def embed(options):
    """Writes features of images."""
    size = check_image_size(options.image_size)
    outputs.check_file(options.out, (".npz",), "what NumPy reads")
    describe(options.backbone)
    names, paths = identified(options.images)
    backbone = backbones.load(options.backbone)
    pool = tf.function(
        lambda images: tf.reduce_mean(backbone(images, training=False), [1, 2]),
        input_signature=[tf.TensorSpec([None, size, size, 3])],
    )
    kept, features = [], []
    with tqdm(total=len(paths), desc="embed", unit="image", disable=running.verbosity() == 2) as bar:
        for places, images, _, _ in letterboxed_batches(paths, size, 32):
            kept += [names[place] for place in places]
            features.append(pool(images).numpy())
            bar.update(len(places))
    with _files.whole(options.out, overwrite=True) as part, part.open("wb") as file:
        np.savez(file, names=np.array(kept), features=np.concatenate(features))
    print(f"{_read(kept, paths)}, {features[0].shape[1]} features each: {options.out}")


def evaluate(options):
    """Scores a model, or predictions, on labels."""
    if (options.model is None) == (options.predictions is None):
        raise UserError("give either --model or --predictions to evaluate")
    for flag, value in (("--coco", options.coco), ("--shards", options.shards)):
        if value is not None and any(each is not None for each in (options.voc, options.split, options.year)):
            raise UserError(f"{flag} {value} is named beside --voc, --year or --split; give the labels of one data set")
    outputs.check_file(options.out, (".json",), "JSON")
    outputs.check_folder(options.plots, new=False)
    for path in _scoring.plot_files(options.plots):
        outputs.check_file(path)
    others = options.coco is not None or options.shards is not None
    flags = {"data.allow_broken_labels": options.allow_broken_labels} if others else _voc_flags(options, "test")
    config = read_config(options.config, flags)
    classes = check_model(options.model).classes if options.model else None
    truth = _scoring.ground_truth(config, options.coco, options.images, classes, options.shards, options.classes)
    if options.model:
        figures, predictions, _ = predicting.score(load(options.model), truth.records, truth.classes, sizes=True)
    else:
        predictions = _scoring.read_predictions(options.predictions, truth)
        truth = _scoring.without_broken(truth, predictions)
        figures = metrics.evaluate_detections(predictions, truth.records, truth.classes, sizes=True)
    if "errors" not in figures:
        _print_figures(figures)
    else:
        if options.score is not None:
            errors = metrics.error_kinds(predictions, truth.records, truth.classes, score_threshold=options.score)
            figures = {**figures, "errors": errors}
        print(_scoring.table(figures))
    if options.out:
        _scoring.write_figures(pathlib.Path(options.out), figures)
        print(f"figures: {options.out}")
    if options.plots:
        for path in _scoring.draw(options.plots, predictions, truth, figures):
            print(f"picture: {path}")


def explain(options):
    """Draws heatmaps of several models side by side, and scores them where there are labels."""
    if (options.images is None) == (options.voc is None and not options.config):
        raise UserError("give either --images to draw, or --voc to draw and score")
    if options.images is None:
        _arms_report.explain_arms(options, read_config(options.config, _voc_flags(options, "test")))
        return
    outputs.check_file(options.out, (".png",), "a picture")
    _files.check_outside(options.out, options.images)
    arms = _arms_report.named(options.models)
    described = {name: check_model(path) for name, path in arms.items()}
    size = _arms_report.one_size(described, options.image_size)
    for each in described.values():
        _class_id(each, options)
    paths = datasets.image_files(options.images)[: options.count or 8]
    arms = {name: load(path) for name, path in arms.items()}
    images = np.concatenate([boxed for _, boxed, _, _ in letterboxed_batches(paths, size, 8)])
    method = getattr(_explain, _arms_report.METHODS[options.method])
    heatmaps = {}
    for name, model in arms.items():
        look = method(model, layer=options.level)
        heatmaps[name] = look(images, _class_id(model, options), verbose=int(running.verbosity() != 2))
    _explain.side_by_side(images, heatmaps, options.out, overwrite=True)
    print(f"{_read(images, paths)}, {len(arms)} arms: {options.out}")


def audit(options):
    """Finds where a model looks at the wrong thing."""
    _audit_report.audit_command(options, _voc_flags(options, "test"))


def export(options):
    """Writes a SavedModel."""
    outputs.check_folder(options.out)
    batching.check_sizes(options.batch_sizes)
    check_model(options.model)
    model = load(options.model)
    serving.export(model, options.out, batch_sizes=options.batch_sizes, about=run_card(options.model))
    print(f"servable: {options.out}")


def scenes(options):
    """Generates a VOCdevkit of toy scenes."""
    flags = {
        "data.scenes.train": options.train,
        "data.scenes.val": options.val,
        "data.scenes.unlabelled": options.unlabelled,
        "data.scenes.single_object": options.single_object,
        "seed": options.seed,
    }
    config = read_config(options.config, flags)
    outputs.check_folder(options.out, new=False)
    plan = config.data.scenes or read_config(None, {"data.scenes": {}}).data.scenes
    datasets.scenes(
        options.out,
        train=plan.train,
        val=plan.val,
        unlabelled=plan.unlabelled,
        single_object=plan.single_object,
        seed=config.seed,
    )
    print(f"{plan.train} + {plan.val} labelled and {plan.unlabelled} unlabelled scenes: {options.out}")


def shards(options):
    """Packs images into shards, with their labels where labels are named."""
    outputs.check_folder(options.out, new=False)
    split = (options.year, options.split, options.classes)
    if options.voc is not None or options.coco is not None or options.yolo:
        allow = bool(options.allow_broken_labels)
        found = _inspection.find(options.images or [], options.voc, options.coco, *split, options.yolo, allow)
        images, classes = found.records, found.classes
    elif any(each is not None for each in split):
        raise UserError("--year, --split and --classes are for labels; give --voc, --coco or --yolo, or leave them out")
    else:
        images, classes = read_config(options.config, {"data.images": options.images}).data.images, None
    if not images:
        raise UserError("no images are named; give --images a folder, or data.images in the configuration")
    done = datasets.write_shards(
        images,
        options.out,
        classes=classes,
        image_size=options.image_size,
        quality=options.quality,
        per_shard=options.per_shard,
        workers=options.workers,
        progress=running.verbosity() != 2,
    )
    kept = f", {done.kept} of them from before" if done.kept else ""
    left = f"; {len(done.broken)} broken files left out" if done.broken else ""
    labelled = "" if classes is None else f" with boxes of {len(classes)} classes"
    print(f"{done.images} images{labelled} in {done.shards} shards{kept}{left}: {options.out}")


def inspect(options):
    """Tells what a data set holds."""
    outputs.check_file(options.out, (".png",), "a picture")
    if options.out:
        _files.check_outside(options.out, [*options.path, options.voc])
    data = read_config(options.config, {}).data
    paths, root = options.path, options.voc
    if not paths and root is None:
        paths, root = data.images, data.voc and data.voc.root
    split = (options.year, options.split, options.classes)
    found = _inspection.find(paths, root, options.coco, *split, options.yolo, allow_broken=True)
    images = _card.image_card(found.paths, options.decode, progress=running.verbosity() != 2)
    labels = None if found.records is None else _card.label_card(found.records, found.classes)
    print(_card.told(images, labels))
    if options.out:
        if not len(images.heights):
            raise UserError(f"none of {images.count} images can be opened; there is nothing to draw")
        draw_card(images, labels, options.out, found.title, overwrite=True)
        print(f"card: {options.out}")


def compare(options):
    """The whole road for several variants; 3 where time was over before the end."""
    limit = TimeLimit(options.minutes)
    flags = {"backbone": options.backbone, "seed": options.seed, "compare.skip": options.skip}
    config = _run_config(options, flags)
    check_network(config)
    with _folder(options, config) as folder:
        try:
            _compare.compare(configuration.without(config, config.compare.skip), folder, limit)
        except OutOfTimeError:
            print(f"{options.minutes:g} minutes are over; the same command with --resume goes on: {folder}")
            return 3


def views(options):
    """Draws the views that pre-training would make of a few photographs, or what fine-tuning sees of labelled ones."""
    outputs.check_file(options.out, (".png", ".jpg"), "a picture")
    _files.check_outside(options.out, [*options.images, options.voc])
    if options.voc is not None or options.task is not None:
        sheet, count = _training_sheet(options)
        with _files.whole(options.out, overwrite=True) as part:
            Image.fromarray(sheet).save(part)
        print(f"training images of {count} labelled ones: {options.out}")
        return
    mild = options.mild or None
    flags = {
        "data.images": options.images or None,
        "pretrain.image_size": 128 if options.image_size is None and not options.config else options.image_size,
        "pretrain.smallest_crop": mild and 0.2,
        "pretrain.strength": mild and 0.5,
        "seed": options.seed,
    }
    sheet, count = contact_sheet(read_config(options.config, flags), options.count, options.level)
    with _files.whole(options.out, overwrite=True) as part:
        Image.fromarray(sheet).save(part)
    print(f"views of {count} photographs: {options.out}")


def geometry(options):
    """Describes and compares the feature spaces of several arms."""
    flags = {} if options.voc is None else _voc_flags(options, "test")
    _geometry_report.write_geometry(options, read_config(options.config, {**flags, "seed": options.seed}))


def _training_sheet(options):
    if options.images:
        raise UserError(f"both {options.images[0]} and labelled images are named; give one of them")
    task = options.task or "detector"
    flags = {**_voc_flags(options, "train"), f"{task}.image_size": options.image_size, "seed": options.seed}
    config = read_config(options.config, flags)
    if getattr(config, task) is None or not options.config:
        # Without a configuration that says what is done, the defaults are shown.
        shown = {f"{task}.augmentation": {}} if not options.config else {task: {}}
        config = read_config(options.config, {**shown, **flags})
    return training_sheet(config, task, options.count)


def _resumed(options):
    """The configuration of the run that is resumed, or None of a new run, or of one whose `config.yaml` is gone."""
    path = pathlib.Path(options.out) / "config.yaml"
    if not options.resume or not path.is_file():
        return None
    return read_config(path, expand=False)


def _run_config(options, flags):
    """The configuration of a run: that of a file, or of the run that is resumed, with flags over it."""
    outputs.check_folder(options.out, new=False)
    folder = pathlib.Path(options.out)
    if options.resume and not folder.is_dir():
        raise UserError(f"{folder} holds no run to resume; leave --resume out to begin one")
    path = folder / "config.yaml"
    if options.resume and not options.config and path.is_file():
        return read_config(path, flags, expand=False)
    return read_config(options.config, flags)


def _folder(options, config, grows=None, done=None):
    _files.check_outside(options.out, config.data.images)
    if options.replace:
        _files.check_not_removed(options.out, [config.model_dump(mode="json"), getattr(options, "backbone", None)])
    return run_folder(options.out, config, resume=options.resume, replace=options.replace, grows=grows, done=done)


def _voc_flags(options, split):
    return {
        "data.voc.root": options.voc,
        "data.voc.year": options.year,
        f"data.voc.{split}": options.split,
        "data.voc.classes": options.classes,
        "data.allow_broken_labels": options.allow_broken_labels,
    }


def _read(found, paths):
    """How many images were read, in words."""
    broken = len(paths) - len(found)
    return f"{len(found)} images" + (f" ({broken} more cannot be read)" if broken else "")


def _class_id(model, options):
    if options.class_name is None:
        return None
    if options.class_name not in model.classes:
        raise UserError(f"the model knows no class {options.class_name!r}; it knows {', '.join(model.classes)}")
    return list(model.classes).index(options.class_name)


def _print_figures(figures):
    for key, value in figures.items():
        if isinstance(value, (int, float)):
            print(f"{key:12} {value:8.2f}" if key == "minutes" else f"{key:12} {value:8.4f}")
