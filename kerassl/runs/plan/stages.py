"""A run as stages: what each stage reads, what it leaves, and its seed.

Nothing here loads TensorFlow: a plan can be printed before anything is trained.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Mapping
from typing import Any, ClassVar

from kerassl._display import printable
from kerassl._io.state import read_kept
from kerassl.config.config import Config
from kerassl.config.schema import Distill, Frozen, LabeledFolder, Pretrain, Section, SelfTrain

_RECORD = ("variant", "protocol", "labels", "seed", "images", "figures", "per_image", "minutes", "steps")


@dataclasses.dataclass(frozen=True)
class Network:
    """The network of a run, and what it is trained on.

    Attributes:
        backbone: Str, its name.
        cut_at: Str, the layer after which it is cut, or None.
        strategy: `"none"` or `"mirrored"`.
        devices: List of str, or None for all.
        precision: Str, the policy of `keras.mixed_precision`.
    """

    backbone: str
    cut_at: str | None
    strategy: str
    devices: list[str] | None
    precision: str

    @classmethod
    def of(cls, config: Config) -> Network:
        """Return the network that a configuration names."""
        return cls(**{field.name: getattr(config, field.name) for field in dataclasses.fields(cls)})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stage:
    """A part of a run, which leaves whole files and is skipped where they are.

    Attributes:
        name: Str, unique in its plan.
        variant: Str, the variant of a comparison that it belongs to; empty elsewhere.
        network: `Network`.
        settings: The section of the configuration, as it is for this stage.
        seed: Int.
        weights: Weights that the backbone starts with: `"random"`, `"imagenet"` or the path of a file.
        folder: `pathlib.Path`, where it leaves its files.
        after: Tuple of the names of stages that it needs.
        images: Int, how many images training sees, or None if unknown before they are read.
        optional: Bool. Whether it is left out where nothing that needs it is left.
    """

    kind: ClassVar[str]

    name: str
    variant: str = ""
    network: Network
    settings: Section
    seed: int
    weights: str
    folder: pathlib.Path
    after: tuple[str, ...] = ()
    images: int | None = None
    optional: bool = False

    @property
    def inputs(self) -> tuple[str, ...]:
        """The file of weights that it reads, where it reads one."""
        return () if self.weights in ("random", "imagenet") else (self.weights,)

    @property
    def outputs(self) -> tuple[pathlib.Path, ...]:
        """The files that it leaves, the last one when it is done."""
        raise NotImplementedError

    def kept(self) -> dict | None:
        """Return the results that it left, or None where it is to be done."""
        raise NotImplementedError

    def done(self) -> bool:
        """Whether its files are there."""
        return all(path.exists() for path in self.outputs) and self.kept() is not None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pretraining(Stage):
    """Pre-training without labels, or by class labels where it is `supervised`.

    Attributes:
        settings: The section `pretrain`.
        supervised: Bool, or the list of the classes that are read.
    """

    kind = "pretrain"
    settings: Pretrain
    supervised: bool | list[str] = False

    @property
    def outputs(self) -> tuple[pathlib.Path, ...]:
        return self.folder / "backbone.keras", self.folder / "pretrain.json"

    def kept(self) -> dict | None:
        found = read_kept(self.folder / "pretrain.json", "minutes", "checksum")
        if found is None or self.supervised:
            return found
        epochs = self.settings.epochs
        return found if (found.get("epochs") or epochs) >= epochs else None  # more are trained from the checkpoint on


@dataclasses.dataclass(frozen=True, kw_only=True)
class Distillation(Stage):
    """Distillation of a teacher's features.

    Attributes:
        settings: The section `distill`.
        teacher: Str, the name of a network or the path of a `.keras` file.
    """

    kind = "distill"
    settings: Distill
    teacher: str

    @property
    def outputs(self) -> tuple[pathlib.Path, ...]:
        return self.folder / "backbone.keras", self.folder / "distill.json"

    def kept(self) -> dict | None:
        found = read_kept(self.folder / "distill.json", "epochs", "minutes", "checksum")
        return found if found is not None and found["epochs"] >= self.settings.epochs else None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reestimation(Stage):
    """Batch normalization for frozen features, re-estimated on whole images; `settings` is the section `frozen`."""

    kind = "batch norm"
    optional: bool = True
    settings: Frozen

    @property
    def file(self) -> pathlib.Path:
        return self.folder / "frozen_backbone.keras"

    @property
    def outputs(self) -> tuple[pathlib.Path, ...]:
        return (self.file,)

    def kept(self) -> dict | None:
        return {} if self.file.exists() else None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Probing(Stage):
    """Classification by a variant's pooled features; `settings` names the labeled images.

    Attributes:
        image_size: Int, side in pixels.
        same: The name of an earlier stage with the same network, or None.
    """

    kind = "probe"
    settings: LabeledFolder
    image_size: int
    same: str | None = None

    @property
    def outputs(self) -> tuple[pathlib.Path, ...]:
        return (self.folder / "probe.json",)

    def kept(self) -> dict | None:
        return read_kept(self.outputs[0], "figures")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Training(Stage):
    """Training on labels and scoring: of a trial of a comparison, or of a run's one detector or localizer.

    Attributes:
        protocol: `"frozen"`, `"localizer"` or `"detector"`, whose section is `settings`.
        labels: Int, how many images' labels are used, or None for all.
        labels_seed: Int, by which these are chosen; None where all are used.
        features: `pathlib.Path` of the folder that keeps frozen features until all that share them are done.
        network_seed: Int, of a random start under frozen features, and of a neck on them: one for all trials.
        logs: `pathlib.Path` of the folder of `metrics.jsonl`.
        stage: Str, its name in `metrics.jsonl`.
        keeps: Bool. Whether its model is kept.
        record: `pathlib.Path` of the file of a trial, or None where there is one training.
    """

    settings: Any
    protocol: str
    labels: int | None = None
    labels_seed: int | None = None
    features: pathlib.Path | None = None
    network_seed: int = 0
    logs: pathlib.Path
    stage: str
    keeps: bool = True
    record: pathlib.Path | None = None

    @property
    def kind(self) -> str:  # type: ignore[override]
        return self.protocol

    @property
    def outputs(self) -> tuple[pathlib.Path, ...]:
        model = (self.folder / f"{self.protocol}.keras",) if self.keeps else ()
        return *model, self.record or self.folder / f"{self.protocol}.json"

    def done(self) -> bool:
        return self.kept() is not None

    def kept(self) -> dict | None:
        if self.record is not None:
            return read_kept(self.record, *_RECORD)
        return self.figures()

    def figures(self) -> dict | None:
        """Return the metrics of a localizer or detector that is trained and scored, or None."""
        found = read_kept(self.folder / f"{self.protocol}.json", "minutes")
        each = None if found is None else read_kept(self.folder / f"{self.protocol}_images.json", "ids")
        return None if each is None else found


@dataclasses.dataclass(frozen=True, kw_only=True)
class Labeling(Stage):
    """Labels for the images without labels, by the detector in `weights`.

    Attributes:
        settings: The section `self_train`, whose threshold is that of this round.
        second: Str, the path of a second detector, whose detections are merged with those of the first, or None.
        labels, labels_seed: As of `Training`, which images are labeled already.
    """

    kind = "label"
    settings: SelfTrain
    second: str | None = None
    labels: int | None = None
    labels_seed: int | None = None

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
        labeling: `Labeling` of the other images.
        labeler: Str, what the detector that gives their labels is called.
        before: `Mixed` of the round before, or None.
    """

    mix: SelfTrain
    labeling: Labeling
    labeler: str
    before: Mixed | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Matched(Training):
    """Training on labels alone, for as many images as teachers, labelings and students together.

    Attributes:
        student: `Mixed` of the last round.
    """

    student: Mixed


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
        found = read_kept(self.outputs[0], "recommended", "values", "figures", "gain")
        return found if found is not None and set(found["values"]) == set(self.detectors) else None


@dataclasses.dataclass(frozen=True)
class Variant:
    """A network of a comparison, as its settings and those of the run resolve.

    Attributes:
        name: Str.
        start: Str, as the configuration has it.
        parent: Str, the variant that it starts from, or None.
        folder: `pathlib.Path` of what is kept of it.
        pretraining: `Pretraining` or `Distillation`, which it may share with others, or None.
        weights: Weights that its backbone has when labels come.
        features: Weights by which its frozen features are computed.
        sections: Dict from the protocols that measure it to their sections.
        self_train: The section `self_train` of a self-trained variant, or None.
        control_of: Str, the self-trained variant that it is the control of, or None.
    """

    name: str
    start: str
    parent: str | None
    folder: pathlib.Path
    pretraining: Pretraining | Distillation | None
    weights: str
    features: str
    sections: Mapping[str, Any]
    self_train: SelfTrain | None = None
    control_of: str | None = None


@dataclasses.dataclass(frozen=True)
class Plan:
    """The stages of a run, in the order in which they are done.

    Attributes:
        config: `Config`.
        folder: `pathlib.Path` of the run.
        stages: Tuple of `Stage`.
        variants: Dict from name to `Variant`; empty of a pre-training.
    """

    config: Config
    folder: pathlib.Path
    stages: tuple[Stage, ...]
    variants: Mapping[str, Variant] = dataclasses.field(default_factory=dict)

    @property
    def trials(self) -> list[Training]:
        """The trainings that are trials of a comparison, without those of teachers."""
        return [stage for stage in self.of(Training) if stage.record is not None]

    @property
    def protocols(self) -> list[str]:
        """The protocols that measure its variants, from the quickest to the slowest."""
        return list(dict.fromkeys(stage.protocol for stage in self.trials))

    def of(self, kind: type) -> list[Any]:
        """Return the stages of a class."""
        return [stage for stage in self.stages if isinstance(stage, kind)]

    def left(self) -> list[Stage]:
        """Return the stages that are to be done."""
        left = [stage for stage in self.stages if not stage.done()]
        needed = {name for stage in left if not stage.optional for name in stage.after}
        return [stage for stage in left if not stage.optional or stage.name in needed]

    def describe(self) -> str:
        """Return a line a stage, with what is done and what is left."""
        left = {stage.name for stage in self.left()}
        rows = [
            (
                "left" if stage.name in left else "done",
                printable(stage.name),
                "" if stage.images is None else f"{stage.images} images",
                f"seed {stage.seed}",
                f"from {printable(self._short(stage.weights))}",
                f"to {printable(self._short(stage.outputs[-1]))}",
            )
            for stage in self.stages
        ]
        widths = [max(map(len, column)) for column in zip(*rows)]
        lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip() for row in rows]
        count = "1 stage" if len(rows) == 1 else f"{len(rows)} stages"
        return "\n".join([*lines, f"{count}, {len(rows) - len(left)} done, {len(left)} left: {self.folder}"])

    def _short(self, path: str | os.PathLike) -> str:
        path = str(path)
        return str(pathlib.Path(path).relative_to(self.folder)) if path.startswith(f"{self.folder}{os.sep}") else path
