"""A run as stages, resolved from its configuration once: what each stage reads, what it leaves, and its seed.

Nothing here loads TensorFlow: a plan can be printed before anything is trained.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
from collections.abc import Mapping
from typing import Any, ClassVar

from kerassl import datasets
from kerassl._display import printable
from kerassl._errors import UserError
from kerassl.config.config import Config, axes, changed_section, parent, protocols, slug
from kerassl.config.schema import Distill, Frozen, LabeledFolder, Pretrain, Section, ViewTraining
from kerassl.runs.running import read_kept

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
        images: Int, how many images training sees, or None where only their reading tells.
    """

    kind: ClassVar[str]
    optional: ClassVar[bool] = False
    """Whether it is left out where nothing that needs it is left."""

    name: str
    variant: str = ""
    network: Network
    settings: Section
    seed: int
    weights: str
    folder: pathlib.Path
    after: tuple[str, ...] = ()
    images: int | None = None

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
    optional = True
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


@dataclasses.dataclass(frozen=True)
class Variant:
    """A network of a comparison, as its settings and those of the run resolve.

    Attributes:
        name: Str.
        start: Str, as the configuration has it.
        parent: Str, the variant that it starts from, or None.
        folder: `pathlib.Path` of what is kept of it.
        pretraining: `Pretraining`, which it may share with others, or None.
        weights: Weights that its backbone has when labels come.
        features: Weights by which its frozen features are computed.
        sections: Dict from the protocols that measure it to their sections.
    """

    name: str
    start: str
    parent: str | None
    folder: pathlib.Path
    pretraining: Pretraining | None
    weights: str
    features: str
    sections: Mapping[str, Any]


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
    def protocols(self) -> list[str]:
        """The protocols that measure its variants, from the quickest to the slowest."""
        return list(dict.fromkeys(stage.protocol for stage in self.of(Training)))

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
        return "\n".join([*lines, f"{len(rows)} stages, {len(rows) - len(left)} done, {len(left)} left: {self.folder}"])

    def _short(self, path: str | os.PathLike) -> str:
        path = str(path)
        return str(pathlib.Path(path).relative_to(self.folder)) if path.startswith(f"{self.folder}{os.sep}") else path


def plan_pretraining(config: Config, folder: str | os.PathLike) -> Plan:
    """Resolve the run of `kerassl.pretrain`."""
    folder = pathlib.Path(folder)
    return Plan(config, folder, (_pretraining(config, folder, config.weights or "random", config.pretrain),))


def plan_distillation(config: Config, folder: str | os.PathLike) -> Plan:
    """Resolve the run of `kerassl.distill`.

    Raises:
        UserError: if no teacher is named.
    """
    folder, section = pathlib.Path(folder), config.distill
    if section is None or section.teacher is None:
        raise UserError(
            "no teacher is named; give --teacher a network, as MobileNet, or a .keras file, or distill.teacher in the "
            "configuration"
        )
    stage = Distillation(
        name="distill",
        network=Network.of(config),
        settings=section,
        seed=config.seed,
        weights=config.weights or "random",
        folder=folder,
        images=_views_seen(config, section),
        teacher=section.teacher,
    )
    return Plan(config, folder, (stage,))


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
        images=_seen(config, section, None),
        protocol=protocol,
        logs=folder,
        stage=protocol,
    )
    return Plan(
        config, folder, (stage,), {start: Variant(start, start, None, folder, None, start, start, {protocol: section})}
    )


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
            stages[stage.name] = stage
    return Plan(config, folder, tuple(stages.values()), variants)


def _variants(config: Config, folder: pathlib.Path) -> dict[str, Variant]:
    """Resolve the variants of a comparison, and which of them share a pre-training."""
    found: dict[str, Variant] = {}
    learned: dict[pathlib.Path, tuple] = {folder: ("random", False, config.pretrain.model_dump())}
    pretrainings: dict[pathlib.Path, Pretraining] = {}
    for name, own in config.variants.items():
        before, place = parent(config, name), folder / "variants" / slug(name)
        weights = own.start if before is None else found[before].weights
        pretraining = None
        if own.pretrain is not None:
            section = changed_section(config.pretrain, own.pretrain, f"variants.{name}.pretrain")
            settings = (weights, own.supervised, section.model_dump())
            home = next((other for other in learned if learned[other] == settings), place)
            learned[home] = settings
            if home not in pretrainings:
                after = () if before is None else _needed(found[before], features=False)
                pretrainings[home] = _pretraining(config, home, weights, section, name, own.supervised, after)
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
        found[name] = Variant(name, own.start, before, place, pretraining, weights, features, sections)
    return found


def _section(config, protocol, name):
    """The section of a protocol as it is for a variant: with its own neck, and of frozen features batch norm."""
    names = ("neck", "batch_norm") if protocol == "frozen" else ("neck",)
    own = {key: getattr(config.variants[name], key) for key in names}
    return getattr(config, protocol).model_copy(update={key: value for key, value in own.items() if value is not None})


def _pretraining(config, folder, start, section, variant="", supervised=False, after=()):
    return Pretraining(
        name=f"pretrain {variant}".rstrip(),
        variant=variant,
        network=Network.of(config),
        settings=section,
        seed=config.seed,
        weights=start,
        folder=folder,
        after=after,
        images=_views_seen(config, section),
        supervised=supervised,
    )


def _views_seen(config: Config, section: ViewTraining) -> int | None:
    """How many images a training on views sees, or None where only their reading tells."""
    count = _unlabeled(config)
    return None if count is None else count // section.batch_size * section.batch_size * section.epochs


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
        images=_seen(config, section, labels),
        protocol=protocol,
        labels=labels,
        features=folder / "features" / first.folder.name,
        network_seed=config.seed,
        logs=folder if keeps_logs else folder / "trials",
        stage=f"{protocol}:{variant.name}" if keeps_logs else f"{protocol}:{variant.name}:{trial}",
        keeps=kept,
        record=record,
    )


def _needed(variant, features=True):
    """The names of the stages that make a variant's weights, or those of its features."""
    if features and variant.features != variant.weights:
        return (f"batch norm {pathlib.Path(variant.features).parent.name}",)
    return () if variant.pretraining is None else (variant.pretraining.name,)


def _seen(config, section, labels):
    """How many labeled images a training sees, where the configuration tells."""
    data = config.data
    if labels is None:
        labels = data.scenes.train if data.train is None and data.scenes is not None else data.count
    return None if labels is None else labels * section.epochs


def _unlabeled(config):
    """How many images pre-training has, where the configuration and the folders that it names tell."""
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
