"""The plan of a comparison: variants, their pre-trainings, and trials.

Nothing here loads TensorFlow: a plan can be printed before anything is trained.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib

from kerassl._errors import UserError
from kerassl.config.config import Config, axes, learned_section, parent, protocols, self_training, slug
from kerassl.config.schema import Distill
from kerassl.runs.plan.self_training import student_stages
from kerassl.runs.plan.stages import (
    Distillation,
    Matched,
    Network,
    Plan,
    Pretraining,
    Probing,
    Reestimation,
    Stage,
    Training,
    Variant,
)
from kerassl.runs.plan.training import distillation_stage, labeled_seen, pretraining_stage


def plan_comparison(config: Config, folder: str | os.PathLike) -> Plan:
    """Resolve the run of `kerassl.run_comparison`.

    Variants that start and learn alike share one pre-training; that from a random start by the section `pretrain` as
    it is has its files in the run's folder, any other in the folder of its variant.

    Raises:
        UserError: if the configuration has no section that measures variants.
    """
    if not protocols(config):
        raise UserError(
            "there is nothing to compare; add a section 'frozen:', 'localizer:' or 'detector:' to the configuration"
        )
    folder = pathlib.Path(folder)
    variants = _variants(config, folder)
    pretrainings = [variant.pretraining for variant in variants.values() if variant.pretraining is not None]
    stages: dict[str, Stage] = {stage.name: stage for stage in pretrainings}
    stages |= _probings(config, folder, variants)
    for protocol in protocols(config):
        names, labels, seeds = axes(config, protocol)
        if protocol == "frozen":
            grid = [(name, count, seed) for name in names for count in labels for seed in seeds]
        else:
            grid = [(name, count, seed) for seed in seeds for count in labels for name in names]
        most = None if None in labels else max(count for count in labels if count is not None)
        for name, count, seed in grid:
            if protocol == "frozen":
                stages |= _reestimation(config, variants[name], stages)
            kept = (count, seed) == (most, seeds[0])
            stage = _trial(config, folder, variants, name, protocol, count, seed, kept)
            for one in _self_trained(folder, variants, stage, stages):
                stages[one.name] = one
    return Plan(config, folder, tuple(stages.values()), variants)


def _variants(config: Config, folder: pathlib.Path) -> dict[str, Variant]:
    """Resolve the variants of a comparison, and which of them share a pre-training."""
    found: dict[str, Variant] = {}
    learned: dict[pathlib.Path, tuple] = {folder: ("random", False, config.pretrain.model_dump())}
    pretrainings: dict[pathlib.Path, Pretraining | Distillation] = {}
    for name, own in config.variants.items():
        before, place = parent(config, name), folder / "variants" / slug(name)
        weights = own.start if before is None else found[before].weights
        pretraining = None
        section = learned_section(config, name)
        if section is not None:
            settings = (weights, own.supervised, section.model_dump())
            home = next((other for other in learned if learned[other] == settings), place)
            learned[home] = settings
            if home not in pretrainings:
                after = () if before is None else _needed(found[before], features=False)
                pretrainings[home] = (
                    distillation_stage(config, home, weights, section, name, after)
                    if isinstance(section, Distill)
                    else pretraining_stage(config, home, weights, section, name, own.supervised, after)
                )
            pretraining, weights = pretrainings[home], str(home / "backbone.keras")
        features = weights
        # A random start stays as it is: its features fade from layer to layer, and with their own statistics worse.
        if config.frozen and weights != "random" and _section(config, "frozen", name).batch_norm == "re-estimated":
            first = next((other.folder for other in found.values() if other.weights == weights), place)
            features = str(first / "frozen_backbone.keras")
        sections = {
            protocol: _section(config, protocol, name)
            for protocol in protocols(config)
            if name in axes(config, protocol)[0]
        }
        students = None if own.self_train is None else self_training(config, name)
        found[name] = Variant(
            name, own.start, before, place, pretraining, weights, features, sections, students, own.control_of
        )
    return found


def _section(config, protocol, name):
    """The section of a protocol as it is for a variant: with its own neck, and of frozen features batch norm."""
    names = ("neck", "batch_norm") if protocol == "frozen" else ("neck",)
    own = {key: getattr(config.variants[name], key) for key in names}
    return getattr(config, protocol).model_copy(update={key: value for key, value in own.items() if value is not None})


def _reestimation(config, variant, stages):
    """The stage that a variant's features need, if they do and no earlier one made it."""
    file = pathlib.Path(variant.features)
    if variant.features == variant.weights or f"batch norm {file.parent.name}" in stages:
        return {}
    stage = Reestimation(
        name=f"batch norm {file.parent.name}",
        variant=variant.name,
        network=Network.of(config),
        settings=_section(config, "frozen", variant.name),
        seed=config.seed,
        weights=variant.weights,
        folder=file.parent,
        after=_needed(variant),
    )
    return {stage.name: stage}


def _probings(config, folder, variants):
    found, probe = {}, config.compare.probe
    for variant in variants.values() if probe else ():
        found |= _reestimation(config, variant, found)
        same = next(
            (stage.name for stage in found.values() if stage.kind == "probe" and stage.weights == variant.features),
            None,
        )
        stage = Probing(
            name=f"probe {variant.name}",
            variant=variant.name,
            network=Network.of(config),
            settings=probe,
            seed=config.seed,
            weights=variant.features,
            folder=folder / "trials" / slug(variant.name),
            after=_needed(variant) if same is None else (same,),
            image_size=getattr(config, protocols(config)[0]).image_size,
            same=same,
        )
        found[stage.name] = stage
    return found


def _trial(config, folder, variants, name, protocol, labels, seed, kept):
    variant = variants[name]
    section, trial = variant.sections[protocol], f"{protocol}-{'all' if labels is None else labels}-{seed}"
    record = folder / "trials" / slug(variant.name) / f"{trial}.json"
    first = next(
        other for other in variants.values() if other.weights == variant.weights and protocol in other.sections
    )
    # The page draws the curves of those that are kept.
    keeps_logs = kept or protocol == "frozen"
    return Training(
        name=f"{trial} {variant.name}",
        variant=variant.name,
        network=Network.of(config),
        settings=section,
        seed=seed,
        weights=variant.features if protocol == "frozen" else variant.weights,
        folder=variant.folder if keeps_logs else record.with_suffix(""),
        after=_needed(variant, protocol == "frozen"),
        images=labeled_seen(config, section, labels),
        protocol=protocol,
        labels=labels,
        labels_seed=seed,
        features=folder / "features" / first.folder.name,
        network_seed=config.seed,
        logs=folder if keeps_logs else folder / "trials",
        stage=f"{protocol}:{variant.name}" if keeps_logs else f"{protocol}:{variant.name}:{trial}",
        keeps=kept,
        record=record,
    )


def _self_trained(folder, variants, trial, stages):
    """The stages of a trial: itself, after teachers, labels and students where its variant is self-trained."""
    variant = variants[trial.variant]
    if variant.self_train is None and variant.control_of is None:
        return [trial]
    fields = {field.name: getattr(trial, field.name) for field in dataclasses.fields(trial)}
    trial_of, own = trial.record.stem, variant.self_train
    if variant.control_of is not None:
        student = stages[f"{trial_of} {variant.control_of}"]
        return [Matched(**{**fields, "images": None, "after": (*trial.after, student.name)}, student=student)]

    def named(part):
        if part == ("student" if own.rounds == 1 else "student-2"):
            return {name: fields[name] for name in ("name", "folder", "stage", "logs", "keeps", "record")}
        home = folder / "self_training" / slug(variant.name) / trial_of / part
        found = {"name": f"{part} of {trial.name}", "variant": variant.name, "folder": home, "optional": True}
        if part.startswith("labels"):
            return found
        stage = f"detector:{variant.name}:{trial_of}:{part}"
        return {**found, "stage": stage, "logs": folder / "trials", "keeps": True, "record": None}

    return student_stages(own, fields, named, [stage for stage in stages.values() if stage.optional])


def _needed(variant, features=True):
    """The names of the stages that make a variant's weights, or those of its features."""
    if features and variant.features != variant.weights:
        return (f"batch norm {pathlib.Path(variant.features).parent.name}",)
    return () if variant.pretraining is None else (variant.pretraining.name,)
