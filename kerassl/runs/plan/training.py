"""Plans of runs of one stage: pre-training, distillation and fine-tuning.

Nothing here loads TensorFlow: a plan can be printed before anything is trained.
"""

from __future__ import annotations

import contextlib
import os
import pathlib

from kerassl import datasets
from kerassl._errors import UserError
from kerassl.config.config import Config, protocols
from kerassl.config.schema import ViewTraining
from kerassl.runs.plan.stages import (
    Distillation,
    Network,
    Plan,
    Pretraining,
    Training,
    Variant,
)


def plan_pretraining(config: Config, folder: str | os.PathLike) -> Plan:
    """Resolve the run of `kerassl.pretrain`."""
    folder = pathlib.Path(folder)
    return Plan(config, folder, (pretraining_stage(config, folder, config.weights or "random", config.pretrain),))


def plan_distillation(config: Config, folder: str | os.PathLike) -> Plan:
    """Resolve the run of `kerassl.distill`.

    Raises:
        UserError: if no teacher is named.
    """
    folder, section = pathlib.Path(folder), config.distill
    if section is None or section.teacher is None:
        raise UserError(
            "no teacher is named; give --teacher a network, as MobileNet, a .keras file or kerashub:PRESET, or "
            "distill.teacher in the configuration"
        )
    return Plan(config, folder, (distillation_stage(config, folder, config.weights or "random", section),))


def plan_finetuning(config: Config, folder: str | os.PathLike) -> Plan:
    """Resolve the run of `kerassl.finetune`, whose configuration has one variant and one protocol."""
    folder, (protocol,) = pathlib.Path(folder), protocols(config)
    section, start = getattr(config, protocol), next(iter(config.variants.values())).start
    stage = Training(
        name=protocol,
        network=Network.of(config),
        settings=section,
        seed=config.seed,
        weights=start,
        folder=folder,
        images=labeled_seen(config, section, None),
        protocol=protocol,
        logs=folder,
        stage=protocol,
    )
    return Plan(
        config, folder, (stage,), {start: Variant(start, start, None, folder, None, start, start, {protocol: section})}
    )


def distillation_stage(config, folder, start, section, variant="", after=()):
    return _stage_of_views(
        Distillation, "distill", config, folder, start, section, variant, after, teacher=section.teacher
    )


def pretraining_stage(config, folder, start, section, variant="", supervised=False, after=()):
    return _stage_of_views(
        Pretraining, "pretrain", config, folder, start, section, variant, after, supervised=supervised
    )


def _stage_of_views(kind, name, config, folder, start, section, variant, after, **own):
    return kind(
        name=f"{name} {variant}".rstrip(),
        variant=variant,
        network=Network.of(config),
        settings=section,
        seed=config.seed,
        weights=start,
        folder=folder,
        after=after,
        images=_views_seen(config, section),
        **own,
    )


def _views_seen(config: Config, section: ViewTraining) -> int | None:
    """How many images a training on views sees, or None if unknown before they are read."""
    count = count_unlabeled(config)
    return None if count is None else count // section.batch_size * section.batch_size * section.epochs


def labeled_seen(config, section, labels):
    """How many labeled images a training sees, or None if the configuration does not say."""
    data = config.data
    if labels is None:
        labels = data.scenes.train if data.train is None and data.scenes is not None else data.count
    return None if labels is None else labels * section.epochs


def count_unlabeled(config: Config) -> int | None:
    """Return how many images pre-training has, or None if the configuration and the folders in it do not tell."""
    data = config.data
    count = 0
    if data.unlabeled:
        with contextlib.suppress(UserError):
            count = len(datasets.image_files(data.unlabeled))
    if data.train is not None:
        return None if data.use_training_images else count
    if data.scenes is not None:
        return count + (data.scenes.unlabeled or 0) + data.use_training_images * data.scenes.train
    return count or None
