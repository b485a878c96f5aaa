"""The plan of a self-training: teacher, labels, student, and the choice among the detectors.

Nothing here loads TensorFlow: a plan can be printed before anything is trained.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kerassl.config.config import Config
from kerassl.config.schema import SelfTrain
from kerassl.runs.plan.stages import Choice, Labeling, Matched, Mixed, Network, Plan, Stage, Training

_LARGER = 1.4  # side of the teacher's images, as a multiple of the student's
_OTHER_SEED = 1000  # what a second teacher adds to the seed


def plan_self_training(config: Config, folder: str | os.PathLike) -> Plan:
    """Resolve the run of `kerassl.self_train`, whose configuration has the sections `self_train` and `detector`."""
    folder = pathlib.Path(folder)
    own, section = config.self_train, config.detector
    assert own is not None
    assert section is not None
    seen = None if config.data.count is None else config.data.count * section.epochs
    common: dict[str, Any] = {"network": Network.of(config), "seed": config.seed}
    weights = config.weights or "imagenet"
    training = {**common, "protocol": "detector", "settings": section, "weights": weights, "logs": folder}

    def named(part):
        found = {"name": part, "folder": folder / part}
        return found if part.startswith("labels") else {**found, "variant": part, "stage": f"detector:{part}"}

    stages = student_stages(own, {**training, "images": seen}, named)
    detectors = {stage.name: stage.outputs[0] for stage in stages if isinstance(stage, Training)}
    if own.teacher.detector is not None:
        detectors = {"teacher": pathlib.Path(own.teacher.detector), **detectors}
    if own.control:
        after = tuple(stage.name for stage in stages)
        stages.append(Matched(**training, **named("control"), after=after, student=stages[-1]))
        detectors["control"] = stages[-1].outputs[0]
    after = tuple(stage.name for stage in stages)
    last = str([*detectors.values()][-1])
    choice = Choice(
        name="choice", **common, settings=own, weights=last, folder=folder, after=after, detectors=detectors
    )
    stages.append(choice)
    return Plan(config, folder, tuple(stages))


def student_stages(
    own: SelfTrain, training: Mapping[str, Any], named: Callable[[str], dict], others: Sequence[Stage] = ()
) -> list[Any]:
    """Return the stages of a self-training up to its last student, which is the last of them.

    Args:
        own: The section `self_train`.
        training: Dict of the fields of the trainings.
        named: Function from `"teacher"`, `"labels"`, `"student"` and these names with `"-2"` to the fields that tell a
            stage from others.
        others: Stages among which a teacher is taken that is trained alike.
    """
    seen, before = training["images"], training.get("after", ())
    common = {name: training[name] for name in ("network", "seed", "labels", "labels_seed") if name in training}
    teachers: list[Stage] = []
    if own.teacher.detector is None:
        for part, seed in (("teacher", 0), ("teacher-2", _OTHER_SEED))[: own.teacher.merged]:
            fields = {**training, **_as_teacher(own, training), "seed": training["seed"] + seed, **named(part)}
            teachers.append(_shared(Training(**fields), others))
    labelers = [own.teacher.detector] if own.teacher.detector else [str(one.outputs[0]) for one in teachers]
    stages: list[Any] = [*teachers]
    student = None
    for suffix, threshold in (("", own.threshold), ("-2", own.second_threshold))[: own.rounds]:
        threshold = own.threshold if threshold is None else threshold
        after = (*before, *(stage.name for stage in stages))
        labels = Labeling(
            **common, **named(f"labels{suffix}"), settings=own.model_copy(update={"threshold": threshold}),
            weights=labelers[0], second=labelers[1] if labelers[1:] else None, after=after,
        )  # fmt: skip
        stages.append(labels)
        fields = {**training, "images": None if seen is None else round(own.length * seen), **named(f"student{suffix}")}
        if own.student_start == "teacher":
            fields["weights"] = labelers[0]
        student = Mixed(
            **{**fields, "after": (*after, labels.name)}, mix=own, labeling=labels, before=student,
            labeler="student" if student else "teacher",
        )  # fmt: skip
        stages.append(student)
        labelers = [str(student.outputs[0])]
    return stages


def _shared(stage: Training, others: Sequence[Stage]) -> Stage:
    """Return the one of other stages that does the same, or the stage."""

    def alike(one):
        return dataclasses.replace(one, name="", variant="", folder=pathlib.Path(), stage="")

    return next((one for one in others if type(one) is Training and alike(one) == alike(stage)), stage)


def _as_teacher(own: SelfTrain, training: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of the training of a teacher, with its own network and image size."""
    teacher, section = own.teacher, training["settings"]
    network, weights = training["network"], teacher.weights or training["weights"]
    if teacher.backbone is not None:
        network = dataclasses.replace(network, backbone=teacher.backbone, cut_at=None)
        weights = teacher.weights or "imagenet"
    size = teacher.image_size or round(_LARGER * section.image_size / 32) * 32
    return {"network": network, "weights": weights, "settings": section.model_copy(update={"image_size": size})}
