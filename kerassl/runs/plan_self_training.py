"""The plan of a self-training: teacher, labels, student, and the choice among the detectors.

Nothing here loads TensorFlow.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Mapping

from kerassl.config.config import Config
from kerassl.config.schema import Detector, SelfTrain
from kerassl.runs.plan import Network, Plan, Stage, Training
from kerassl.runs.running import read_kept

_LARGER = 1.4  # side of the teacher's images, as a multiple of the student's


@dataclasses.dataclass(frozen=True, kw_only=True)
class Labeling(Stage):
    """Labels for the images without labels, by the detector in `weights`."""

    kind = "label"
    settings: SelfTrain

    @property
    def outputs(self) -> tuple[pathlib.Path, ...]:
        return (self.folder / "settings.json",)

    def kept(self) -> dict | None:
        found = read_kept(self.outputs[0], "result")
        return None if found is None else found["result"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mixed(Training):
    """Training on labeled images and on those that a detector labeled.

    Attributes:
        mix: The section `self_train`.
        labeled_by: `pathlib.Path` of the folder of labels.
        labeler: Str, the name of the detector that gives them.
    """

    mix: SelfTrain
    labeled_by: pathlib.Path
    labeler: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Matched(Training):
    """Training on labels alone, for as many images as the stages `after` which it comes."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choice(Stage):
    """Choice among detectors by the validation images.

    Attributes:
        detectors: Dict from name to `pathlib.Path` of the file.
    """

    kind = "choose"
    settings: SelfTrain
    detectors: Mapping[str, pathlib.Path]

    @property
    def outputs(self) -> tuple[pathlib.Path, ...]:
        return (self.folder / "choice.json",)

    def kept(self) -> dict | None:
        found = read_kept(self.outputs[0], "recommended", "values", "figures")
        return found if found is not None and set(found["values"]) == set(self.detectors) else None


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
