"""Self-training: a teacher labels images, and a student learns from these and from the labels of people."""

from __future__ import annotations

import dataclasses
import functools
import logging
import os
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from kerassl import metrics, statistics
from kerassl._errors import UserError
from kerassl._io.state import read_kept, write_json
from kerassl.config.config import Config, as_flags, label_settings, read_config
from kerassl.config.sources import Sources, check_images, check_paths, sources
from kerassl.datasets import DetectionDataset, write_coco
from kerassl.datasets.images.files import image_names
from kerassl.datasets.pipeline.letterboxed import identified
from kerassl.detectors import model_files
from kerassl.report.model_images import model_images
from kerassl.report.self_training import gain_details, gain_sentence
from kerassl.runs import finetune as finetuning
from kerassl.runs import students
from kerassl.runs.folder import run_config, run_folder
from kerassl.runs.plan.self_training import plan_self_training
from kerassl.runs.plan.stages import Choice, Labeling, Matched, Mixed, Plan, Stage, Training
from kerassl.runs.results import RunResult, write_results
from kerassl.runs.running import prepare
from kerassl.runs.start import check_network, check_start, fetch_weights, seen, start_settings
from kerassl.tasks.predict import detections, score
from kerassl.types import METRIC_NAMES

log = logging.getLogger("kerassl")

_METRIC = "coco_ap"


def self_train(
    data: str | os.PathLike | DetectionDataset | None = None,
    images: str | os.PathLike | Sequence[str | os.PathLike] | None = None,
    *,
    out: str | os.PathLike,
    run: str | os.PathLike | None = None,
    teacher: str | os.PathLike | None = None,
    teacher_image_size: int | None = None,
    backbone: str | os.PathLike | None = None,
    weights: str | os.PathLike | None = None,
    config: str | os.PathLike | None = None,
    data_images: str | os.PathLike | None = None,
    split: str | None = None,
    classes: Sequence[str] | None = None,
    allow_broken_labels: bool | None = None,
    val: str | os.PathLike | Mapping[str, object] | DetectionDataset | None = None,
    val_split: float | None = None,
    test: str | os.PathLike | Mapping[str, object] | DetectionDataset | None = None,
    test_split: float | None = None,
    group_by: str | None = None,
    count: int | None = None,
    fraction: float | None = None,
    detector: str | None = None,
    image_size: int | None = None,
    batch_size: int | None = None,
    epochs: int | None = None,
    threshold: float | str | None = None,
    mirror: bool | None = None,
    rounds: int | None = None,
    control: bool | None = None,
    seed: int | None = None,
    settings: Mapping[str, object] | None = None,
    resume: bool = False,
    replace: bool = False,
    plan: bool = False,
) -> RunResult | Plan:
    """Train a detector on labeled images, and on others that a teacher labels.

    The teacher is trained on the labels, by default at a larger image size, and labels `images`. The student begins as
    the teacher did, and learns from both. All detectors are kept; the one with the best average precision on the
    validation images is recommended, with intervals over these images. Labeled, validation and test images among
    `images` are left out, also resized or re-encoded.

    Args:
        data, data_images, split, classes, allow_broken_labels: The labels to train on, as of `DetectionDataset.open`;
            or as `data` a `DetectionDataset`, which is written into the folder.
        images: Str or path of a file or a folder without labels, or list of those.
        out: Str or path of the run's folder.
        run: Str or path of a finished run of `kerassl.finetune`, whose start, recipe and split are taken, and whose
            detector is the teacher.
        teacher: Str or path of the `detector.keras` that labels; it must not have seen validation or test images.
        teacher_image_size: Int, side in pixels, of a teacher that is trained.
        backbone, weights: The start of student and teacher, as of `kerassl.finetune`.
        val, val_split: Labels to choose by, as of `kerassl.finetune`, or a `DetectionDataset`.
        test, test_split: The same, to score on.
        group_by, count, fraction: As of `kerassl.finetune`.
        detector: `"yolov8"` (default) or `"retinanet"`.
        image_size: Int, side in pixels of the student's images, a multiple of 32.
        epochs: Int, passes of the teacher over the labeled images. The student sees 2.5 times as many images.
        threshold: `"count"` (default): each class is expected as often per image as in the labeled images, the best
            quarter of that number are labels, the others ignored; or Float, the lowest score of a label.
        mirror: Bool. Also detect in the mirror images.
        rounds: 1, or 2 to label again by the student, for a second one.
        control: Bool. Also train on the labels alone, for as many images as all the rest together. It may be added
            when a run is resumed.
        config, batch_size, seed, settings, resume, replace, plan: As of `kerassl.pretrain`.

    Returns:
        `RunResult`, whose `model` is the recommended detector, and whose `results` has the `choice`.

    Raises:
        UserError: if a setting, an image or a label cannot be used, the teacher has seen validation or test images, or
            it finds nothing.

    Example:
        >>> found = kerassl.self_train(train, "photos/", backbone="backbone.keras", val=val, out="runs/self")
        >>> kerassl.serving.export(kerassl.load(found.model), "servables/raccoon/1")
    """
    given: dict[str, Any] = {
        name: each for name, each in (("train", data), ("val", val), ("test", test)) if _is_read(each)
    }
    paths: dict[str, Any] = {name: pathlib.Path(out, "given", name) for name in given}
    labels = label_settings(
        paths.get("train", data), data_images, split, classes, allow_broken_labels, paths.get("val", val), val_split,
        paths.get("test", test), test_split, group_by, count, fraction,
    )  # fmt: skip
    pool = [images] if isinstance(images, (str, os.PathLike)) else images
    arguments = {
        **labels,
        "data.unlabeled": None if pool is None else [os.fspath(each) for each in pool],
        "data.use_training_images": False,
        **start_settings(backbone, weights),
        "seed": seed,
        "detector.kind": detector,
        "detector.image_size": image_size,
        "detector.batch_size": batch_size,
        "detector.epochs": epochs,
        "self_train.threshold": threshold,
        "self_train.mirror": mirror,
        "self_train.rounds": rounds,
        "self_train.control": control,
        "self_train.teacher.image_size": teacher_image_size,
        "self_train.teacher.detector": None if teacher is None else os.fspath(teacher),
    }
    read = _config(out, config, run, {**(settings or {}), **as_flags(arguments)}, resume)
    planned = plan_self_training(read, out)
    if plan:
        if not given:  # what is given is written by a run
            check_paths(read.data)
        return planned
    if read.data.unlabeled and (not resume or _labels(planned)):
        image_names(read.data.unlabeled)
    labeled = any(stage.folder.exists() for stage in planned.of(Labeling))
    free = () if labeled else ("data.unlabeled",)
    with run_folder(out, read, resume, replace, grows="self_train.control", free=free) as folder:
        for name, dataset in given.items():
            if not paths[name].exists():
                write_coco(dataset, paths[name], progress=False)
        return _execute(planned, folder)


def _labels(plan):
    """Whether images are to be labeled."""
    return any(isinstance(stage, Labeling) for stage in plan.left())


def _is_read(data):
    return isinstance(data, DetectionDataset)


def _config(out, config, run, flags, resume) -> Config:
    """The configuration, with a teacher and a recipe."""
    if run is not None and not resume:
        if config is not None:
            raise UserError(f"--run is {run}, and --config is {config}; leave one of them out")
        config, before = pathlib.Path(run, "config.yaml"), pathlib.Path(run, "detector.keras")
        if not config.is_file() or not before.is_file():
            raise UserError(
                f"--run is {run}, which holds no detector.keras of a run; give a folder of kerassl finetune"
            )
        if not {"self_train.teacher.detector", "self_train.teacher.image_size"} & {*flags}:
            flags = {**flags, "self_train.teacher.detector": str(before)}

    def read(flags):
        return (
            read_config(config, flags, expand=False) if run and not resume else run_config(out, config, flags, resume)
        )

    bare = read({key: value for key, value in flags.items() if not key.startswith(("detector.", "self_train."))})
    missing = [key for key in ("detector", "self_train") if getattr(bare, key) is None]
    found = read({**{key: {} for key in missing}, **flags})
    assert found.detector is not None
    assert found.self_train is not None
    start, teacher = found.weights or "imagenet", found.self_train.teacher
    check_start(start, "weights")
    check_network(found)
    if teacher.weights is not None:
        check_start(teacher.weights, "self_train.teacher.weights")
    if teacher.backbone is not None:
        check_network(found.model_copy(update={"backbone": teacher.backbone}))
    if teacher.detector is not None:
        students.check_teacher(teacher.detector)
    if not found.data.unlabeled and found.data.scenes is None:
        raise UserError("no images without labels are named; give --images a folder, or data.unlabeled")
    alone = {"weights": start, "frozen": None, "localizer": None}
    return found.model_copy(update=alone)


def _execute(plan: Plan, folder: pathlib.Path) -> RunResult:
    """Do the stages that are left, and report."""
    begun, data = time.time(), sources(plan.config, folder)
    if data.val is None and not data.generated:
        raise UserError("a detector is chosen by validation images; give --val or --val-split, too")
    data = data if data.val is not None else dataclasses.replace(data, val=data.test)
    teacher = plan.config.self_train.teacher  # type: ignore[union-attr]
    for file in {teacher.detector, teacher.weights, plan.config.weights}:
        if file is not None and model_files.trained(file) is not None:
            students.check_unseen(file, data)
    fetch_weights(plan.left())
    work = _Work(plan, data)
    if _labels(plan):
        students.check_pool(data.images, work.parts)
    check_images(data)
    prepare(plan.config)
    found = {}
    for stage in plan.stages:
        kept = stage.kept() if stage.done() else None
        found[stage.name] = _RUNNERS[type(stage)](stage, work) if kept is None else kept
    choice, labeled = found["choice"], {stage.name: found[stage.name] for stage in plan.of(Labeling)}
    variants: dict[str, dict[str, Any]] = {}
    for name in choice["values"]:
        figures = found[name] if name in found else choice["figures"][name]
        variants[name] = {"detector": {**figures, "image_size": choice["image_sizes"][name]}}
    for stage in plan.of(Training):
        text = seen(stage.weights)
        if isinstance(stage, Mixed):
            text = f"{text.removesuffix('.')}; and images that the {stage.labeler} labeled."
        variants[stage.name] = {"start": stage.weights, "seen": text, **variants[stage.name]}
    unlabeled = students.labeled_images(plan.of(Labeling)[0])
    pair = {"before": choice["gain"]["baseline"], "after": choice["gain"]["student"]}
    detectors = plan.of(Choice)[0].detectors
    left = (read_kept(folder / "left_out.json", "left_out") or {"left_out": []})["left_out"]
    return write_results(
        folder,
        "kerassl: self-training",
        gain_sentence(choice["gain"], unlabeled),
        begun,
        detectors[choice["recommended"]],
        generated=data.generated,
        variants=variants,
        choice=choice,
        labels=labeled,
        details=f"{gain_details(choice['gain'])} {_sentence(choice)} {data.describe()}, {unlabeled} without labels. "
        f"{len(left)} others are labeled images, or copies of such, and were left out (left_out.json). "
        + " ".join(f"{line[0].upper()}{line[1:]}." for result in labeled.values() for line in result["alarms"]),
        images=model_images(
            {f"{when}: {name}": detectors[name] for when, name in pair.items()}, "detector", data.test,
            count=plan.config.explain.images, level=plan.config.explain.level, folder=folder, pair=True,
        ),
    )  # fmt: skip


@dataclasses.dataclass(frozen=True)
class _Work:
    """State that the stages share.

    Attributes:
        plan: `Plan`.
        data: `Sources`, with validation images.
    """

    plan: Plan
    data: Sources

    @property
    def parts(self) -> dict[str, DetectionDataset | None]:
        """The labeled images, by their use."""
        data = self.data
        return {"train": data.train, "val": data.val, "test": data.test if data.unseen else None}

    @functools.cached_property
    def pool(self) -> list[str]:
        """The images to label, without those that are labeled; these are listed in the run's folder."""
        return students.unlabeled(identified(self.data.images)[1], self.parts, self.plan.folder)


def _label(stage: Labeling, work: _Work) -> dict:
    return students.label_pool(stage, work.pool, work.data.train)


def _train(stage: Training, work: _Work) -> dict:
    return finetuning.run(stage, work.data)


def _train_mixed(stage: Mixed, work: _Work) -> dict:
    return students.train_student(stage, work.data)


def _train_matched(stage: Matched, work: _Work) -> dict:
    return students.train_matched(stage, work.data, students.images_seen(stage.student, work.data.train))


def _choose(stage: Choice, work: _Work) -> dict:
    """Compare the detectors on the validation images, and on the test images."""
    data = work.data
    assert data.val is not None
    models = {name: model_files.load(path) for name, path in stage.detectors.items()}
    sizes = {name: model.image_size for name, model in models.items()}
    figures = {  # of those that were not trained here
        name: score(model, data.test.numbered_as(model.class_names), model.class_names)[0].to_dict()
        for name, model in models.items()
        if name not in stage.after
    }
    count, val = _average_precision(models, data.val)
    whole = {name: figures_of(np.arange(count))[_METRIC] for name, figures_of in val.items()}
    order = sorted(models, key=lambda name: -whole[name])  # of equals the first, which took less
    table = statistics.paired_bootstrap({name: val[name] for name in order}, count, seed=stage.seed)
    best = order[0]
    result = {
        "recommended": best,
        "images": count,
        "values": {name: table.values[name] for name in stage.detectors},
        "differences": table.differences,
        "tied": [name for name in order[1:] if table.differences[name][_METRIC].high >= 0],
        "image_sizes": sizes,
        "figures": figures,
    }
    if data.unseen:
        count, test = _average_precision(models, data.test)
    else:
        test = val
    baseline = "control" if "control" in test else "teacher"
    ordered = {name: test[name] for name in sorted(test, key=lambda name: name != baseline)}
    table = statistics.paired_bootstrap(ordered, count, seed=stage.seed)
    result["gain"] = {
        "baseline": baseline,
        "student": best if best.startswith("student") else "student",
        "images": count,
        "unseen": data.unseen,
        "values": {name: table.values[name] for name in stage.detectors},
        "differences": table.differences,
    }
    write_json(stage.outputs[0], result)
    return stage.kept() or {}


def _average_precision(models, dataset):
    """Return the number of images, and by model a function that scores a resample of them."""
    found = {}
    for name, model in models.items():
        records = dataset.numbered_as(model.class_names)
        found[name] = records, detections(model, records)
    read = set.intersection(*({*predictions} for _, predictions in found.values()))  # broken files are missing
    made = {}
    for name, (records, predictions) in found.items():
        shown = [record for record in records if record.image_id in read]
        own = {record.image_id: predictions[record.image_id] for record in shown}
        made[name] = metrics.coco_ap_of_images(own, shown, records.class_names)
    return len(read), made


def _sentence(choice):
    """Return in a sentence which detector is recommended, and which cannot be distinguished from it."""
    best, name = choice["recommended"], METRIC_NAMES[_METRIC].name
    text = f"The {best} is recommended: {name} {100 * choice['values'][best][_METRIC][0]:.1f} % on "
    text += f"{choice['images']} validation images."
    for other in choice["tied"]:
        text += f" The {other} cannot be distinguished from it on that many images."
    return text


_RUNNERS: Mapping[type[Stage], Callable[[Any, _Work], dict]] = {
    Training: _train,
    Labeling: _label,
    Mixed: _train_mixed,
    Matched: _train_matched,
    Choice: _choose,
}
"""How a stage of each kind is done."""
