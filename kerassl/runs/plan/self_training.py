"""The plan of a self-training: teacher, labels, student, and the choice among the detectors.

Nothing here loads TensorFlow: a plan can be printed before anything is trained.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib

from kerassl.config.config import Config
from kerassl.config.schema import Detector, SelfTrain
from kerassl.runs.plan.stages import (
    Choice,
    Labeling,
    Matched,
    Mixed,
    Network,
    Plan,
    Stage,
    Training,
)

_LARGER = 1.4  # side of the teacher's images, as a multiple of the student's


def plan_self_training(config: Config, folder: str | os.PathLike) -> Plan:
    """Resolve the run of `kerassl.self_train`, whose configuration has the sections `self_train` and `detector`."""
    folder = pathlib.Path(folder)
    own, section, start = config.self_train, config.detector, config.weights or "imagenet"
    assert own is not None
    assert section is not None
    common = {"network": Network.of(config), "seed": config.seed}
    seen = None if config.data.count is None else config.data.count * section.epochs
    training = {**common, "protocol": "detector", "settings": section, "weights": start, "logs": folder}
    stages: list[Stage] = []
    if own.teacher.detector is None:
        stages.append(Training(**_named("teacher", folder), **training, images=seen))
        stages[0] = _as_teacher(stages[0], own, section)
    labeler = pathlib.Path(own.teacher.detector or folder / "teacher" / "detector.keras")
    detectors = {"teacher": labeler}
    for number in range(1, own.rounds + 1):
        suffix = "" if number == 1 else f"-{number}"
        labels = Labeling(
            name=f"labels{suffix}", **common, settings=own, weights=str(labeler), folder=folder / f"labels{suffix}",
            after=tuple(stage.name for stage in stages[-1:]),
        )  # fmt: skip
        student = Mixed(
            **_named(f"student{suffix}", folder), **training, mix=own, labeled_by=labels.folder,
            labeler=[*detectors][-1], after=(labels.name,), images=None if seen is None else round(own.length * seen),
        )  # fmt: skip
        stages += [labels, student]
        labeler = detectors[student.name] = student.outputs[0]
    if own.control:
        after = tuple(stage.name for stage in stages)
        stages.append(Matched(**_named("control", folder), **training, after=after))
        detectors["control"] = stages[-1].outputs[0]
    after = tuple(stage.name for stage in stages)
    choice = Choice(
        name="choice", **common, settings=own, weights=str(labeler), folder=folder, after=after, detectors=detectors
    )
    return Plan(config, folder, (*stages, choice))


def _named(name, folder):
    return {"name": name, "variant": name, "folder": folder / name, "stage": f"detector:{name}"}


def _as_teacher(stage: Stage, own: SelfTrain, section: Detector) -> Stage:
    """The training of a teacher, with its own network and image size."""
    teacher = own.teacher
    network, weights = stage.network, teacher.weights or stage.weights
    if teacher.backbone is not None:
        network = dataclasses.replace(network, backbone=teacher.backbone, cut_at=None)
        weights = teacher.weights or "imagenet"
    size = teacher.image_size or round(_LARGER * section.image_size / 32) * 32
    return dataclasses.replace(
        stage, network=network, weights=weights, settings=section.model_copy(update={"image_size": size})
    )
