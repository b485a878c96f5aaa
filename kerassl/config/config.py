"""Settings of a run: a YAML file, checked key by key, and flags that override it."""

from __future__ import annotations

import copy
import difflib
import os
import pathlib
import re
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar

import pydantic
from pydantic import Field

from kerassl._display import printable
from kerassl._errors import UserError
from kerassl._io.yaml import read_yaml
from kerassl._numbers import short
from kerassl.config.schema import (
    Compare,
    Data,
    Detector,
    Distill,
    Explain,
    Frozen,
    Localizer,
    Pretrain,
    Section,
    Seed,
    SelfTrain,
    Variant,
)
from kerassl.types import PROTOCOLS

_Section = TypeVar("_Section", bound=Section)
_EXAMPLES = "`kerassl config --list` names examples"


class ConfigError(UserError):
    """Invalid settings: a line for each problem, and their number before them where there are several.

    Args:
        source: Str or path of the file, or what else has the settings.
        problems: Sequence of str, a line each.
    """

    def __init__(self, source: str | os.PathLike, problems: Sequence[str]) -> None:
        super().__init__(f"{source}: {problems[0]}")
        if len(problems) > 1:
            lines = [f"{source}: {len(problems)} problems", *(f"  {problem}" for problem in problems)]
            self.shell = "\n".join(map(printable, lines))
            self.args = (self.shell,)


class Config(Section):
    """All settings of a run. Every command uses the sections that it needs."""

    backbone: str = Field(
        "EfficientNetB1", description="Network, as EfficientNetB1, EfficientNetB0 or MobileNet, the fastest on a CPU."
    )
    weights: str | None = Field(
        None,
        description="What the network starts with: random, imagenet (Keras's own) or a file of weights; null is "
        "imagenet for finetune, else random.",
    )
    cut_at: str | None = Field(
        None, description="Layer after which the network is cut, as conv_pw_12_relu; null is its last feature map."
    )
    seed: Seed = Field(0, description="The same seed gives the same run on the same machine.")
    strategy: Literal["none", "mirrored"] = Field("none", description="mirrored trains on all devices of one machine.")
    devices: list[str] | None = Field(None, description="Devices of mirrored, as [GPU:0, GPU:1]; null is all GPUs.")
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = Field(
        "float32", description="mixed_bfloat16 or mixed_float16 are faster on a GPU, and slower on a CPU."
    )
    data: Data = Field(default_factory=Data, description="Images and labels.")
    pretrain: Pretrain = Field(default_factory=Pretrain, description="Self-supervised pre-training.")
    distill: Distill | None = Field(None, description="Distillation of a teacher.")
    frozen: Frozen | None = Field(None, description="A localizer on frozen features, in a comparison.")
    localizer: Localizer | None = Field(None, description="A localizer, trained on labels.")
    detector: Detector | None = Field(None, description="A detector, trained on labels.")
    self_train: SelfTrain | None = Field(None, description="Self-training of a detector on images without labels.")
    explain: Explain = Field(default_factory=Explain, description="Images that a report draws.")
    variants: dict[str, Variant] = Field(
        default_factory=lambda: {"self-supervised": Variant(pretrain={}), "random start": Variant(start="random")},
        min_length=1,
        description="Networks to compare by name. A word is short for one: self-supervised, random, imagenet, or a "
        "file of weights.",
    )
    compare: Compare = Field(default_factory=Compare, description="The grid of a comparison.")

    @pydantic.model_validator(mode="after")
    def _grid(self):
        problems = []
        for name, variant in self.variants.items():
            if "start" not in variant.model_fields_set:
                variant.start = self.weights or "random"
            try:
                learned = learned_section(self, name)
            except ValueError as error:
                problems.append(str(error))
            else:
                if isinstance(learned, Distill) and learned.teacher is None:
                    problems.append(f"variants.{name}.distill names no teacher; give one, as {{teacher: MobileNet}}")
            try:
                self_training(self, name)
            except ValueError as error:
                problems.append(str(error))
        problems += _grid_problems(self)
        if problems:
            raise ValueError("\n".join(problems))
        return self


def slug(name: str) -> str:
    """Return a name as a folder's name."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def protocols(config: Config) -> list[str]:
    """Return the protocols that a configuration has a section for."""
    return [protocol for protocol in PROTOCOLS if getattr(config, protocol) is not None]


def axes(config: Config, protocol: str) -> tuple[list[str], list[int | None], list[int]]:
    """Return the axes of a protocol's grid.

    Args:
        config: `Config`.
        protocol: Str.

    Returns:
        Lists of the variants' names, of the numbers of labels (None is all) and of the seeds.
    """
    own, common = getattr(config, protocol), config.compare
    labels = common.labels if own.labels is None else own.labels
    seeds = common.seeds if own.seeds is None else own.seeds
    names = [name for name in config.variants if protocol == "detector" or not _of_detectors(config.variants[name])]
    return own.variants or names, labels, [config.seed + number for number in range(seeds)]


def _of_detectors(variant):
    """Whether a variant is for detectors alone."""
    return variant.self_train is not None or variant.control_of is not None


def self_training(config: Config, variant: str) -> SelfTrain:
    """Return the section `self_train` as it is for a self-trained variant.

    Raises:
        ValueError: if its changes are not accepted, a line for each.
    """
    section, changes = config.self_train or SelfTrain(), config.variants[variant].self_train or {}
    return changed_section(section, changes, f"variants.{variant}.self_train")


def parent(config: Config, variant: str) -> str | None:
    """Return the variant whose weights another one begins with, or None where `start` is a word or a file."""
    start = config.variants[variant].start
    return start if start in config.variants and start not in ("random", "imagenet") else None


def changed_section(section: _Section, changes: Mapping[str, Any], name: str) -> _Section:
    """Return a section with some settings changed, checked like any other.

    Args:
        section: `Section`.
        changes: Dict of settings, or of dicts of those for sections in it.
        name: Str, what a message calls it.

    Returns:
        `Section` of the same kind.

    Raises:
        ValueError: if keys or values are not accepted, a line for each.
    """
    values = section.model_dump()
    for key, value in changes.items():
        inside = isinstance(value, dict) and isinstance(values.get(key), dict)
        values[key] = {**values[key], **value} if inside else value
    try:
        return type(section).model_validate(values)
    except pydantic.ValidationError as error:
        raise ValueError("\n".join(_problems(error, type(section), name))) from None


def learned_section(config: Config, variant: str) -> Pretrain | Distill | None:
    """Return the section by which a variant learns before it sees labels of objects, or None where it does not.

    Raises:
        ValueError: as of `changed_section`.
    """
    own = config.variants[variant]
    if own.distill is not None:
        return changed_section(config.distill or Distill(), own.distill, f"variants.{variant}.distill")
    if own.pretrain is not None:
        return changed_section(config.pretrain, own.pretrain, f"variants.{variant}.pretrain")
    return None


def read_config(
    path: str | os.PathLike | None = None, flags: Mapping[str, Any] | None = None, expand: bool = True
) -> Config:
    """Read a configuration, override it by flags and check every key.

    Args:
        path: Str or path of a YAML file, or None for the defaults. Environment variables in its values, as
            `${KERASSL_REAL_DATA}`, are expanded.
        flags: Dict from dotted key to value, as `{"pretrain.epochs": 3}`; see `as_flags`.
        expand: Bool. False takes values as they are, as those of a run's own `config.yaml`.

    Returns:
        `Config`.

    Raises:
        UserError: if the file is missing or no YAML, variables are unset, or keys or values are not accepted: all such
            problems at once.
    """
    values: Any = {}
    problems: list[str] = []
    if path is not None:
        path = pathlib.Path(path)
        if not path.is_file():
            raise UserError(f"there is no configuration {path}; {_EXAMPLES}")
        remedy = _EXAMPLES if expand else "restore it, or remove it and resume with --config and flags"
        values = read_yaml(path, remedy)
        values = {} if values is None else values
        if not isinstance(values, dict):
            raise UserError(f"{path} must hold sections with keys, as 'pretrain: {{epochs: 10}}'")
        values = _expand(values, problems) if expand else values
    for key, value in (flags or {}).items():
        _put(values, key.split("."), copy.deepcopy(value))  # others are put into it
    try:
        config = Config.model_validate(values)
    except pydantic.ValidationError as error:
        problems += _problems(error, Config)
    if problems:
        raise ConfigError("the flags" if path is None else path, problems)
    return config


def as_flags(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of a function's arguments that were given, as flags that go over a file and other settings.

    Args:
        arguments: Dict from dotted key to value; None is no value. Where a setting is to be null, a flag is None.
    """
    return {key: value for key, value in arguments.items() if value is not None}


def label_settings(
    data: str | os.PathLike | None = None,
    data_images: str | os.PathLike | None = None,
    split: str | None = None,
    classes: Sequence[str] | None = None,
    allow_broken_labels: bool | None = None,
    val: str | os.PathLike | Mapping[str, Any] | None = None,
    val_split: float | None = None,
    test: str | os.PathLike | Mapping[str, Any] | None = None,
    test_split: float | None = None,
    group_by: str | None = None,
    count: int | None = None,
    fraction: float | None = None,
) -> dict[str, Any]:
    """Return as settings the arguments for labels to train on.

    Args:
        data, data_images, split: Str or path, and str: those of `data.train`. `data` leaves nothing of what the file
            has there.
        val, val_split, test, test_split: Str, path or dict, or float: those of `data.val` and `data.test`.
        classes, allow_broken_labels, group_by, count, fraction: As the settings of `data`.

    Raises:
        UserError: if labels are named by a path and by a share.
    """
    found: dict[str, Any] = {
        "data.classes": classes,
        "data.allow_broken_labels": allow_broken_labels,
        "data.group_by": group_by,
        "data.count": count,
        "data.fraction": fraction,
    }
    own = {"images": data_images if data_images is None else os.fspath(data_images), "split": split}
    if data is None:
        found |= {f"data.train.{key}": value for key, value in own.items()}
    else:
        found["data.train"] = {"path": os.fspath(data), **own}
    for part, path, share in (("val", val, val_split), ("test", test, test_split)):
        if path is not None and share is not None:
            raise UserError(f"--{part} {path} and --{part}-split {share} are both given; give one of them")
        found[f"data.{part}"] = os.fspath(path) if isinstance(path, (str, os.PathLike)) else share or path
    return found


def setting_of(key: str) -> pydantic.fields.FieldInfo:
    """Return the field of a setting by its name with dots, as `"pretrain.epochs"`."""
    *sections, name = key.split(".")
    section = Config
    for each in sections:
        section = _section_of(section.model_fields[each].annotation)
    return section.model_fields[name]


def kind_of(field: pydantic.fields.FieldInfo) -> tuple[Any, Any]:
    """Return the type of a setting apart from None, and the function that checks a number, or None."""
    kind: Any = field.annotation
    metadata: Sequence = field.metadata
    options = [option for option in typing.get_args(kind) if option is not type(None)]
    if type(None) in typing.get_args(kind):
        kind = options[0]
        metadata = metadata or getattr(kind, "__metadata__", ())
        kind = kind.__origin__ if hasattr(kind, "__metadata__") else kind
    checks = [each.func for each in metadata if isinstance(each, pydantic.BeforeValidator)]
    return kind, checks[0] if checks else None


def _put(values, keys, value):
    for key in keys[:-1]:
        if not isinstance(values.get(key), dict):
            values[key] = {"path": values[key]} if isinstance(values.get(key), str) else {}  # labels, in short
        values = values[key]
    values[keys[-1]] = value


def _expand(value, problems):
    if isinstance(value, dict):
        return {key: _expand(item, problems) for key, item in value.items()}
    if isinstance(value, list):
        return [_expand(item, problems) for item in value]
    if not isinstance(value, str):
        return value
    expanded = os.path.expanduser(os.path.expandvars(value))
    unset = re.search(r"\$\{?(\w+)", expanded)
    if unset:
        line = f"the environment variable {unset[1]} is not set; set it, or give a path in place of {value}"
        if line not in problems:
            problems.append(line)
    return expanded


def _problems(error, section, within=""):
    """Return a line for each problem that pydantic found in a section."""
    found: dict[str, list[str]] = {}
    for problem in error.errors():
        # Where one of several types is accepted, each is a problem of its own, whose last key is the type.
        keys = [str(key) for key in problem["loc"] if key not in ("bool", "list[str]")]
        name = ".".join([within, *keys] if within else keys)
        found.setdefault(name, _lines(problem, keys, name, section))
    return [line for lines in found.values() for line in lines]


def _lines(problem, keys, name, section):
    message = problem["msg"].removeprefix("Value error, ")
    if isinstance(problem["input"], dict) and problem["type"] == "value_error":  # a whole section would be no line
        return [f"{name}: {line}" if name else line for line in message.split("\n")]
    if problem["type"] != "extra_forbidden":
        return [f"{name} is {short(problem['input'])}: {message[0].lower()}{message[1:]}"]
    inner = iter(keys[:-1])
    for key in inner:
        annotation = section.model_fields[key].annotation
        if typing.get_origin(annotation) is dict:
            next(inner)  # a name that the user gave
        section = _section_of(annotation)
    accepted = list(section.model_fields)
    close = difflib.get_close_matches(keys[-1], accepted, 1)
    hint = f"did you mean {close[0]!r}?" if close else f"accepted are {', '.join(accepted)}"
    return [f"there is no setting {name!r}; {hint}"]


def _section_of(annotation):
    for option in getattr(annotation, "__args__", (annotation,)):
        if isinstance(option, type) and issubclass(option, Section):
            return option
    raise TypeError(f"{annotation} is no section")


def _grid_problems(config):
    """Yield what is wrong with a grid that no section can find by itself, a line each."""
    variants, common = config.variants, config.compare
    folders = {}
    for name in variants:
        other = folders.setdefault(slug(name), name)
        if not slug(name):
            yield f"variants: {name!r} has no letter or digit to call a folder by; give it a name of letters"
        elif len(slug(name)) > 100:
            yield f"variants: {name[:40] + '…'!r} has {len(name)} characters; give it a name of at most 100"
        elif other != name:
            yield f"variants: {other!r} and {name!r} would share the folder {slug(name)!r}; rename one of them"
        start = parent(config, name)
        if start is not None and list(variants).index(start) >= list(variants).index(name):
            yield f"variants.{name}.start is {start!r}, a variant that is not above it; move it there"
        yield from _self_training_problems(config, name)
        if variants[name].supervised == []:
            yield f"variants.{name}.supervised names no class; give true for all, or two names and more"
    yield from _unknown("compare.baseline", [common.baseline], variants)
    check = common.sanity_check
    if check is not None:
        yield from _unknown("compare.sanity_check.good", [check.good], variants)
        yield from _unknown("compare.sanity_check.poor", [check.poor], variants)
        if check.good == check.poor:
            yield f"compare.sanity_check: good and poor are both {check.good!r}; name two variants"
        if config.frozen is None:
            yield "compare.sanity_check is made on frozen features; add a section 'frozen:'"
        for name in (check.good, check.poor):
            if config.frozen is not None and name in variants and name not in axes(config, "frozen")[0]:
                yield f"compare.sanity_check needs {name!r} on frozen features; add it to frozen.variants"
    if common.split == "tuning" and not common.tuning_images:
        yield "compare.split is 'tuning', but there are no images for it; give compare.tuning_images, as 200"
    chosen = config.data.count or config.data.fraction
    for section in ("compare", *PROTOCOLS):
        own = getattr(config, section)
        if own is None:
            continue
        labels, named = own.labels or [], getattr(own, "variants", None) or []
        for key, values in (("labels", labels), ("variants", named)):
            if len(set(values)) < len(values):
                yield f"{section}.{key} are {values}; give each once"
        yield from _unknown(f"{section}.variants", named, variants)
        if any(labels) and chosen:
            yield f"{section}.labels and data.count or data.fraction both choose labels; leave the latter out"
    measured = [name for protocol in protocols(config) for name in axes(config, protocol)[0]]
    left = [name for name in variants if name not in measured]
    if measured and left:
        yield f"variants: {left[0]!r} is measured by nothing; add it to a section's variants, or take it out"


def _self_training_problems(config, name):
    own, above = config.variants[name], list(config.variants)[: list(config.variants).index(name)]
    where = f"variants.{name}"
    if own.self_train is not None and own.control_of is not None:
        yield f"{where} has both self_train and control_of; give one of them"
    if "control" in (own.self_train or {}):
        yield f"{where}.self_train.control is for kerassl self-train; add a variant with control_of: {name}"
    if own.control_of is not None and (
        own.control_of not in above or config.variants[own.control_of].self_train is None
    ):
        yield f"{where}.control_of is {own.control_of!r}; give a variant above that has self_train"
    if _of_detectors(own):
        for protocol in ("frozen", "localizer"):
            if getattr(config, protocol) is not None and name in (getattr(config, protocol).variants or ()):
                yield f"{protocol}.variants: {name!r} trains a detector; take it out"


def _unknown(key, names, variants):
    for name in names:
        if name is not None and name not in variants:
            yield f"{key} is {name!r}; the variants are {', '.join(variants)}"


def without(config: Config, skip: Sequence[str]) -> Config:
    """Return a comparison without some of its variants, whose folders and figures are kept.

    Args:
        config: `Config`.
        skip: Sequence of names of variants.

    Returns:
        `Config`.

    Raises:
        UserError: if there is no such variant, none is left, or another one needs it.
    """
    if not skip:
        return config
    left = [name for name in config.variants if name not in skip]
    check = config.compare.sanity_check
    problems = list(_unknown("compare.skip (--skip)", skip, config.variants))
    if not left:
        problems.append(f"compare.skip (--skip) names all variants, {', '.join(skip)}; leave one to measure")
    for name in left:
        if parent(config, name) in skip:
            problems.append(f"variants.{name} starts from {parent(config, name)!r}, which is skipped; skip both")
        other = config.variants[name].control_of
        if other in skip:
            problems.append(f"variants.{name} is the control of {other!r}, which is skipped; skip both")
    if check and (check.good in skip or check.poor in skip):
        problems.append("compare.sanity_check needs a variant that is skipped; remove it, or skip another variant")
    if config.compare.baseline in skip:
        problems.append(f"compare.baseline is {config.compare.baseline!r}, which is skipped; skip another variant")
    if problems:
        raise ConfigError("the comparison", problems)
    changed = config.model_dump()
    for name in PROTOCOLS:
        if changed[name] and changed[name]["variants"]:
            own = [variant for variant in changed[name]["variants"] if variant not in skip]
            changed[name] = {**changed[name], "variants": own} if own else None
    changed["variants"] = {name: changed["variants"][name] for name in left}
    changed["compare"]["skip"] = []
    return Config.model_validate(changed)
