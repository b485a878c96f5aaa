"""Several variants through the whole pipeline, into one report."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import os
import pathlib
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from kerassl import serving
from kerassl._errors import UserError
from kerassl._io import files as _files
from kerassl.comparison import frozen, probe, trials
from kerassl.comparison.summary import summarize
from kerassl.comparison.variant_images import variant_images
from kerassl.comparison.variants import seen_by
from kerassl.config.config import as_flags, label_settings, without
from kerassl.config.sources import Sources, check_images, check_paths, some_labels, sources
from kerassl.datasets import Record
from kerassl.datasets.pipeline.letterboxed import identified
from kerassl.detectors.localizer.levels import NECK_LEVELS
from kerassl.detectors.model_files import load, run_card
from kerassl.runs import distill as distillation
from kerassl.runs import finetune as finetuning
from kerassl.runs import pretrain as pretraining
from kerassl.runs import pretrain_neck as neck
from kerassl.runs import running, students, supervised
from kerassl.runs.folder import run_config, run_folder
from kerassl.runs.plan.comparison import plan_comparison
from kerassl.runs.plan.stages import (
    Distillation,
    Labeling,
    Matched,
    Mixed,
    Plan,
    Pretraining,
    Probing,
    Reestimation,
    Stage,
    Training,
)
from kerassl.runs.results import RunResult, write_results
from kerassl.runs.start import check_network, check_start, fetch_weights, start_settings
from kerassl.types import PROTOCOLS

log = logging.getLogger("kerassl")


def run_comparison(
    *,
    out: str | os.PathLike,
    config: str | os.PathLike | None = None,
    backbone: str | None = None,
    weights: str | os.PathLike | None = None,
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
    seed: int | None = None,
    skip: Sequence[str] | None = None,
    minutes: float | None = None,
    settings: Mapping[str, object] | None = None,
    resume: bool = False,
    replace: bool = False,
    plan: bool = False,
) -> RunResult | Plan:
    """Pre-train, train and score the variants of a configuration, and report their differences.

    Each stage leaves whole files; a comparison that is resumed does what is missing, to the same bits.

    Args:
        out: Str or path of the run's folder.
        backbone: Str, the network of every variant.
        weights: What variants start with that have no `start`: `"random"` (default), `"imagenet"`, or str or path of a
            file of weights.
        data, data_images, split, classes, allow_broken_labels: The labels, as of `kerassl.finetune`.
        val, val_split, test, test_split, group_by, count, fraction: Their parts, likewise. Without images
            of `test`, those of `val` are scored.
        skip: Sequence of the names of variants to leave out.
        minutes: Float, after which it stops at the next checkpoint.
        resume: Bool. Continue the run in the folder; variants and protocols may be new.
        config, seed, settings, replace, plan: As of `kerassl.pretrain`.

    Returns:
        `RunResult`, whose `results` has the `variants` with their figures, and their `significance` summary.

    Raises:
        UserError: if a setting, an image or a label cannot be used.
        OutOfTimeError: if `minutes` are over and something is left to do.

    Example:
        >>> found = kerassl.run_comparison(config="configs/compare_scenes.yaml", out="runs/scenes")
        >>> found.results["variants"]["self-supervised"]["frozen"]["mean_iou"]
    """
    limit = running.TimeLimit(minutes)
    labels = label_settings(
        data, data_images, split, classes, allow_broken_labels, val, val_split, test, test_split, group_by, count,
        fraction,
    )  # fmt: skip
    arguments = {**labels, **start_settings(backbone, weights), "seed": seed, "compare.skip": skip}
    read = run_config(out, config, {**(settings or {}), **as_flags(arguments)}, resume)
    check_network(read)
    planned = plan_comparison(without(read, read.compare.skip), out)
    if plan:
        check_paths(read.data)
        _check_weights(planned)
        return planned
    with run_folder(out, read, resume=resume, replace=replace):
        return compare(planned, limit)


def compare(plan: Plan, limit: running.TimeLimit | None = None) -> RunResult:
    """Do what is left of a comparison, draw, export and report.

    Args:
        plan: `Plan`, whose folder is claimed.
        limit: `TimeLimit`, or None.

    Returns:
        `RunResult`.

    Raises:
        UserError: if what the configuration names cannot be used.
        OutOfTimeError: if the limit is over and something is left to do.
    """
    config, limit, begun = plan.config, limit or running.TimeLimit(), time.time()
    _check_weights(plan)
    whole = sources(config, plan.folder)
    data, aside = _split(config, whole)
    labeled = functools.cache(functools.partial(some_labels, data))
    # What is wrong there is found before anything is trained.
    _check_data(plan, data, labeled)
    _check_teachers(plan, whole)
    left = plan.left()
    fetch_weights(left)
    _check_pool(left, data, whole)
    check_images(data)
    running.prepare(config)
    for stage in plan.of(Probing)[:1]:
        probe.make_probes(stage)
    found = _execute(plan, left, data, labeled, limit, whole.test)
    records = [found[stage.name] for stage in plan.trials]
    probed = {stage.variant: found[stage.name] for stage in plan.of(Probing)}
    table, plain = trials.mean_figures(plan, records), None
    variants: dict[str, dict[str, Any]] = {}
    for name, variant in plan.variants.items():
        stage = variant.pretraining
        figures = None if stage is None else found[stage.name]
        variants[name] = {"start": variant.start, "seen": seen_by(variant, figures, data.generated)}
        if stage is not None:
            variants[name][stage.kind] = figures
            plain = figures if stage.folder == plan.folder else plain
        if probed:
            variants[name]["probe"] = probed[name]
        variants[name] |= table[name]
    servable = _servable(plan)
    return write_results(
        plan.folder,
        "kerassl: variants compared",
        f"{data.describe()}{aside}. Network: {config.backbone}{_cut(config)}{_levels(config)}. {_grid(records)}"
        f"Servable: {servable.relative_to(plan.folder)}.",
        begun,
        generated=data.generated,
        pretrain=plain,
        variants=variants,
        significance=_significance(plan, records, probed),
        images=variant_images(plan, data),
    )


@dataclasses.dataclass
class _Work:
    """State that the stages of a comparison share while they are done.

    Attributes:
        folder: `pathlib.Path` of the run.
        data: `Sources`.
        held: The images to score on, also those that settings are chosen on.
        labeled: Function from number of labels and seed to the records to train on.
        limit: `TimeLimit`.
        left: The stages that are to be done.
        on_features: `FrozenTrials`.
        found: Dict from the names of the stages that are done to their figures.
    """

    folder: pathlib.Path
    data: Sources
    held: Sequence[Record]
    labeled: Callable
    limit: running.TimeLimit
    left: Sequence[Stage]
    on_features: frozen.FrozenTrials
    found: dict[str, Any] = dataclasses.field(default_factory=dict)

    def of(self, stage) -> Sources:
        """The images and labels of a trial."""
        return self.data.with_labels(self.labeled(stage.labels, stage.labels_seed))

    @functools.cached_property
    def pool(self) -> list[str]:
        """The images without labels, but those to choose and to score on."""
        parts = {"val": self.data.val, "test": self.held}
        return students.unlabeled(identified(self.data.images)[1], parts, self.folder)


def _execute(plan, left, data, labeled, limit, held):
    """Do the stages that are left, and return what each found by its name."""
    work = _Work(plan.folder, data, held, labeled, limit, left, frozen.FrozenTrials(plan, left, data, labeled, limit))
    for number, stage in enumerate(plan.stages):
        with _of_variant(stage.variant):
            work.found[stage.name] = _RUNNERS[type(stage)](stage, work)
        if isinstance(stage, Mixed) and not stage.optional and not stage.keeps:
            needed = {name for other in plan.stages[number + 1 :] if other in left for name in other.after}
            for other in plan.stages:
                own = isinstance(other, (Training, Labeling)) and other.name in stage.after
                if own and other.optional and other.name not in needed:
                    _files.clear(other.folder)
    _files.clear(plan.folder / "features")
    return work.found


def _pretrain(stage, work):
    if not stage.outputs[-1].exists():
        work.limit.check()
        log.info("the pre-training of %s", stage.variant)
    run = supervised.run if stage.supervised else pretraining.run
    return run(stage, work.data.images, work.limit)


def _distill(stage, work):
    if not stage.outputs[-1].exists():
        work.limit.check()
        log.info("the distillation of %s", stage.variant)
    return distillation.run(stage, work.data.images, work.limit)


def _reestimate(stage, work):
    if any(stage.name in other.after for other in work.left):
        work.limit.check()
        frozen.reestimate(stage, work.data)


def _train(stage, work):
    if stage not in work.left:
        return stage.kept()
    if stage.protocol == "frozen":
        work.on_features.run(stage)
    elif stage.record is not None:
        trials.finetune(stage, work.of(stage), work.limit)
    else:  # of a teacher, or of a student that is one
        work.limit.check()
        train = students.train_student if isinstance(stage, Mixed) else finetuning.run
        train(stage, work.of(stage), work.limit)
    return stage.kept()


def _label(stage, work):
    if stage in work.left and not stage.done():
        work.limit.check()
        train = work.of(stage).train
        students.label_pool(stage, work.pool, train)  # without those of `train`
    return stage.kept()


_RUNNERS: Mapping[type[Stage], Callable[[Any, _Work], Any]] = {
    Pretraining: _pretrain,
    Distillation: _distill,
    Reestimation: _reestimate,
    Probing: lambda stage, work: probe.run(stage, work.found, work.limit),
    Training: _train,
    Labeling: _label,
    Mixed: _train,
    Matched: _train,
}
"""How a stage of each kind is done."""


@contextlib.contextmanager
def _of_variant(name: str) -> Iterator[None]:
    """Add to what goes wrong in the block whose fault it is, and how the others continue."""
    try:
        yield
    except UserError as error:
        where = f"variant {name!r}: {error}; leave it out by compare.skip to continue with the others"
        shell = f"variant {name!r}: {error.shell}; continue with the others by --resume --skip {shlex.quote(name)}"
        raise UserError(where, shell=shell) from error


def _check_weights(plan):
    """Refuse weights that are missing, and necks that nothing could be trained after."""
    for name, variant in plan.variants.items():
        if variant.parent is None:
            check_start(variant.start, f"variants.{name}.start")
    for variant in plan.variants.values():
        for protocol, section in variant.sections.items():
            neck.check(section, protocol, variant.weights)


def _check_data(plan, data, labeled):
    """Refuse images that a variant cannot be pre-trained on, and more labels than there are."""
    for stage in plan.of(Pretraining):
        if stage.supervised:
            supervised.labeled_images(data.images, supervised.named(stage.supervised))
        else:
            pretraining.check(stage.settings, data.images)
    for stage in (stage for stage in plan.of(Distillation) if not stage.done()):
        distillation.check(stage, data.images)
    most = max((stage.labels for stage in plan.trials if stage.labels is not None), default=None)
    if most is not None:
        labeled(most, plan.config.seed)


def _check_teachers(plan, data):
    """Refuse teachers that do not fit or saw images to score on, and labelings without an image."""
    for file in {variant.self_train.teacher.detector for variant in plan.variants.values() if variant.self_train}:
        if file is not None:
            students.check_teacher(file)
            students.check_unseen(file, data)
    images = list(map(str, data.images))
    if any(stage.labels is None for stage in plan.of(Labeling)) and {*images} <= {one.path for one in data.train}:
        raise UserError("no images without labels are named; give data.unlabeled")


def _check_pool(left, data, whole):
    """Refuse images to label of which none is left beside the labeled ones, or none can be read."""
    labelings = [stage for stage in left if isinstance(stage, Labeling)]
    if labelings:
        train = data.train if any(stage.labels is None for stage in labelings) else None
        students.check_pool(data.images, {"train": train, "val": data.val, "test": whole.test})


def _split(config, data: Sources) -> tuple[Sources, str]:
    """Return the images and labels, and in words which images to score on form the tuning split."""
    common = config.compare
    if not common.tuning_images:
        return data, ""
    # The seed is always 0, so that no seed reports on images that another one was tuned on.
    chosen = {record.image_id for record in data.test.subset(common.tuning_images, seed=0)}
    test = [record for record in data.test if (record.image_id in chosen) == (common.split == "tuning")]
    if not test:
        raise UserError(
            f"compare.tuning_images is {common.tuning_images}, which leaves no image to report on; keep fewer aside"
        )
    which = "those" if common.split == "tuning" else "without those"
    return dataclasses.replace(
        data, test=data.test.with_records(test)
    ), f" ({which} {common.tuning_images} that settings are chosen on)"


def _significance(plan, records, probed):
    """Return the differences of the variants; None of a single one."""
    config = plan.config
    if len(config.variants) == 1:
        return None
    records = [trials.with_matches(stage, record) for stage, record in zip(plan.trials, records)]
    baseline = config.compare.baseline or list(config.variants)[-1]
    check = config.compare.sanity_check and config.compare.sanity_check.model_dump()
    return {**summarize(records, baseline=baseline, sanity_check=check, seed=config.seed), "probe": probed}


def _cut(config):
    return "" if config.cut_at is None else f", cut after {config.cut_at}"


def _levels(config):
    """Return which levels necks take of the network, where these are not the default."""
    text = ""
    for protocol in ("frozen", "localizer"):
        section = getattr(config, protocol)
        if section is not None and tuple(section.levels) != NECK_LEVELS:
            text += f", {' and '.join(section.levels)} alone for {PROTOCOLS[protocol]}"
    return text


def _grid(records):
    """Return how a grid is to be read; nothing where there is one trial a variant."""
    if len({(each["labels"], each["seed"]) for each in records}) == 1:
        return ""
    return (
        f"{len(records)} trainings on labels. A seed chooses which images are labeled, for all variants alike, and "
        "sets the random weights and the order; the fewer labels of a seed are among the more. Each variant is "
        "pre-trained once, and on frozen features a random start is one network for all seeds. "
    )


def _servable(plan):
    """Export the first variant's model of the last protocol."""
    task = plan.protocols[-1]
    first = next(stage.variant for stage in plan.trials if stage.protocol == task)
    out = plan.folder / "servables" / task / "1"
    if not out.exists():
        model = plan.variants[first].folder / f"{task}.keras"
        serving.export(load(model), out, about=run_card(model))
    return out
