"""What a run is told: a YAML file, checked key by key, with flags over it."""

from __future__ import annotations

import difflib
import os
import pathlib
import re
import typing
from collections.abc import Sequence
from typing import Literal

import pydantic
from pydantic import Field

from kerassl._errors import UserError
from kerassl._io.yaml import read_yaml
from kerassl._numbers import short
from kerassl.runs.schema import (
    PROTOCOLS,
    Compare,
    Data,
    Detector,
    Explain,
    Frozen,
    Localizer,
    Pretrain,
    Section,
    Seed,
    Variant,
)


class Config(Section):
    """All settings of a run. Every command uses the sections that it needs."""

    backbone: str = Field(
        "EfficientNetB1", description="Network, as EfficientNetB1, EfficientNetB0 or MobileNet, the fastest on a CPU."
    )
    until: str | None = Field(
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
    frozen: Frozen | None = Field(None, description="A localizer on frozen features, in a comparison.")
    localizer: Localizer | None = Field(None, description="A localizer, trained on labels.")
    detector: Detector | None = Field(None, description="A detector, trained on labels.")
    explain: Explain = Field(default_factory=Explain, description="Images that a report draws.")
    variants: dict[str, Variant] = Field(
        default_factory=lambda: {"self-supervised": Variant(pretrain={}), "random start": Variant()},
        min_length=1,
        description="Networks to compare by name. A word is short for one: self-supervised, random, imagenet, or a "
        "file of weights.",
    )
    compare: Compare = Field(default_factory=Compare, description="The grid of a comparison.")

    @pydantic.model_validator(mode="after")
    def _grid(self):
        for name, variant in self.variants.items():
            if variant.pretrain is not None:
                changed_section(self.pretrain, variant.pretrain, f"variants.{name}.pretrain")
        _check_grid(self)
        return self


def slug(name):
    """A name as a folder's name."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def protocols(config):
    """The ways of measuring that a configuration has a section for."""
    return [protocol for protocol in PROTOCOLS if getattr(config, protocol) is not None]


def axes(config, protocol):
    """The sides of a protocol's grid.

    Args:
        config: `Config`.
        protocol: str.

    Returns:
        Lists of the variants' names, of the numbers of labels (None is all) and of the seeds.
    """
    own, common = getattr(config, protocol), config.compare
    labels = common.labels if own.labels is None else own.labels
    seeds = common.seeds if own.seeds is None else own.seeds
    return own.variants or list(config.variants), labels, [config.seed + number for number in range(seeds)]


def parent(config, variant):
    """The variant whose weights another one begins with, or None where `start` is a word or a file."""
    start = config.variants[variant].start
    return start if start in config.variants and start not in ("random", "imagenet") else None


def changed_section(section, changes, name):
    """A section with some settings changed, checked like any other.

    Args:
        section: `Section`.
        changes: dict of settings, or of dicts of those for sections in it.
        name: str. What a message calls it.

    Returns:
        `Section` of the same kind.

    Raises:
        ValueError: in one line, if a key or a value is not accepted.
    """
    values = section.model_dump()
    for key, value in changes.items():
        inside = isinstance(value, dict) and isinstance(values.get(key), dict)
        values[key] = {**values[key], **value} if inside else value
    try:
        return type(section).model_validate(values)
    except pydantic.ValidationError as error:
        raise ValueError(_told(error.errors()[0], type(section), name)) from None


def read_config(path=None, flags=None, expand=True):
    """Reads a configuration, puts flags over it and checks every key.

    Args:
        path: str or `pathlib.Path` of a YAML file, or None for the defaults. Environment variables in its values, as
            `${KERASSL_REAL_DATA}`, are expanded.
        flags: dict from dotted key to value, as `{"pretrain.epochs": 3}`; None values are passed over.
        expand: bool. False takes values as they are, as those of a run's own `config.yaml`.

    Returns:
        `Config`.

    Raises:
        UserError: if the file is missing or no YAML, a variable is unset, or a key or value is not accepted.
    """
    values = {}
    if path is not None:
        path = pathlib.Path(path)
        if not path.is_file():
            raise UserError(f"there is no configuration {path}; see the files in configs/")
        remedy = (
            "see the files in configs/" if expand else "restore it, or remove it and resume with --config and flags"
        )
        values = read_yaml(path, remedy)
        values = {} if values is None else values
        if not isinstance(values, dict):
            raise UserError(f"{path} must hold sections with keys, as 'pretrain: {{epochs: 10}}'")
        values = _expand(values, path) if expand else values
    for key, value in (flags or {}).items():
        if value is not None:
            _put(values, key.split("."), value)
    try:
        return Config.model_validate(values)
    except pydantic.ValidationError as error:
        raise UserError(_one_line(error.errors()[0], path or "the flags")) from error


def voc_settings(
    which: str,
    voc: str | None,
    year: int | None,
    split: str | None,
    classes: Sequence[str] | None,
    allow_broken_labels: bool | None,
) -> dict:
    """Return as flags what the arguments for a VOCdevkit change; `which` is the split of `data.voc`, train or test."""
    return {
        "data.voc.root": voc,
        "data.voc.year": year,
        f"data.voc.{which}": split,
        "data.voc.classes": classes,
        "data.allow_broken_labels": allow_broken_labels,
    }


def setting_of(key: str) -> pydantic.fields.FieldInfo:
    """Return the field of a setting by its name with dots, as `"pretrain.epochs"`."""
    *sections, name = key.split(".")
    section = Config
    for each in sections:
        section = _section_of(section.model_fields[each].annotation)
    return section.model_fields[name]


def _put(values, keys, value):
    for key in keys[:-1]:
        if not isinstance(values.get(key), dict):
            values[key] = {}
        values = values[key]
    values[keys[-1]] = value


def _expand(value, path):
    if isinstance(value, dict):
        return {key: _expand(item, path) for key, item in value.items()}
    if isinstance(value, list):
        return [_expand(item, path) for item in value]
    if not isinstance(value, str):
        return value
    expanded = os.path.expanduser(os.path.expandvars(value))
    unset = re.search(r"\$\{?(\w+)", expanded)
    if unset:
        raise UserError(f"{path} uses the environment variable {unset[1]}, which is not set; set it or give a path")
    return expanded


def _one_line(problem, path):
    return f"{path}: {_told(problem, Config)}"


def _told(problem, section, within=""):
    """What is wrong with a setting of a section, in one line."""
    keys = [str(key) for key in problem["loc"]]
    name = ".".join([within, *keys] if within else keys)
    message = problem["msg"].removeprefix("Value error, ")
    if isinstance(problem["input"], dict) and problem["type"] == "value_error":  # a whole section would be no line
        return f"{name}: {message}" if name else message
    if problem["type"] != "extra_forbidden":
        return f"{name} is {short(problem['input'])}: {message[0].lower()}{message[1:]}"
    inner = iter(keys[:-1])
    for key in inner:
        annotation = section.model_fields[key].annotation
        if typing.get_origin(annotation) is dict:
            next(inner)  # a name that the user gave
        section = _section_of(annotation)
    accepted = list(section.model_fields)
    close = difflib.get_close_matches(keys[-1], accepted, 1)
    hint = f"did you mean {close[0]!r}?" if close else f"accepted are {', '.join(accepted)}"
    return f"there is no setting {name!r}; {hint}"


def _section_of(annotation):
    for option in getattr(annotation, "__args__", (annotation,)):
        if isinstance(option, type) and issubclass(option, Section):
            return option
    raise TypeError(f"{annotation} is no section")


def _check_grid(config):
    """Refuses a grid that cannot be: what the sections cannot tell each by itself.

    Args:
        config: `Config`.

    Raises:
        ValueError: in one line.
    """
    variants, common = config.variants, config.compare
    folders = {}
    for name in variants:
        other = folders.setdefault(slug(name), name)
        if not slug(name):
            raise ValueError(
                f"variants: {name!r} has no letter or digit to call a folder by; give it a name of letters"
            )
        if len(slug(name)) > 100:
            raise ValueError(f"variants: {name[:40] + '…'!r} has {len(name)} characters; give it a name of at most 100")
        if other != name:
            raise ValueError(
                f"variants: {other!r} and {name!r} would share the folder {slug(name)!r}; rename one of them"
            )
        start = parent(config, name)
        if start is not None and list(variants).index(start) >= list(variants).index(name):
            raise ValueError(
                f"variants.{name}.start is {start!r}, a variant that does not stand above it; put it there"
            )
        if variants[name].supervised == []:
            raise ValueError(f"variants.{name}.supervised names no class; give true for all, or two names and more")
    _known({"compare.baseline": common.baseline}, variants)
    if common.sanity_check is not None:
        _known(
            {
                "compare.sanity_check.good": common.sanity_check.good,
                "compare.sanity_check.poor": common.sanity_check.poor,
            },
            variants,
        )
        if common.sanity_check.good == common.sanity_check.poor:
            raise ValueError(
                f"compare.sanity_check: good and poor are both {common.sanity_check.good!r}; name two variants"
            )
        if config.frozen is None:
            raise ValueError("compare.sanity_check is judged on frozen features; add a section 'frozen:'")
        for variant in (common.sanity_check.good, common.sanity_check.poor):
            if variant not in axes(config, "frozen")[0]:
                raise ValueError(
                    f"compare.sanity_check needs {variant!r} on frozen features; add it to frozen.variants"
                )
    if common.split == "tuning" and not common.tuning_images:
        raise ValueError("compare.split is 'tuning', but no images are kept aside; give compare.tuning_images, as 200")
    for name in ("compare", *PROTOCOLS):
        own = getattr(config, name)
        if own is None:
            continue
        labels, named = own.labels or [], getattr(own, "variants", None) or []
        for what, values in (("labels", labels), ("variants", named)):
            if len(set(values)) < len(values):
                raise ValueError(f"{name}.{what} are {values}; give each once")
        for variant in named:
            _known({f"{name}.variants": variant}, variants)
        voc = config.data.voc
        if any(labels) and voc is not None and (voc.count or voc.fraction):
            raise ValueError(f"{name}.labels and data.voc's count or fraction both choose labels; leave the latter out")
    measured = [variant for protocol in protocols(config) for variant in axes(config, protocol)[0]]
    left = [variant for variant in variants if variant not in measured]
    if measured and left:
        raise ValueError(
            f"variants: {left[0]!r} is measured by nothing; add it to a section's variants, or take it out"
        )


def without(config, skip):
    """A comparison without some of its variants, whose folders and figures stay.

    Args:
        config: `Config`.
        skip: list of names of variants.

    Returns:
        `Config`.

    Raises:
        UserError: in one line, if there is no such variant, none is left, or another one needs it.
    """
    if not skip:
        return config
    changed = config.model_dump()
    left = [name for name in config.variants if name not in skip]
    try:
        for name in skip:
            _known({"compare.skip (--skip)": name}, config.variants)
        if not left:
            raise ValueError(f"compare.skip (--skip) names all variants, {', '.join(skip)}; leave one to measure")
        for name in left:
            if parent(config, name) in skip:
                raise ValueError(f"variants.{name} starts from {parent(config, name)!r}, which is skipped; skip both")
        if config.compare.sanity_check and {config.compare.sanity_check.good, config.compare.sanity_check.poor} & set(
            skip
        ):
            raise ValueError(
                "compare.sanity_check needs a variant that is skipped; take the sanity check out, or skip another "
                "variant"
            )
        if config.compare.baseline in skip:
            raise ValueError(f"compare.baseline is {config.compare.baseline!r}, which is skipped; skip another variant")
    except ValueError as error:
        raise UserError(str(error)) from None
    for name in PROTOCOLS:
        if changed[name] and changed[name]["variants"]:
            own = [variant for variant in changed[name]["variants"] if variant not in skip]
            changed[name] = {**changed[name], "variants": own} if own else None
    changed["variants"] = {name: changed["variants"][name] for name in left}
    changed["compare"]["skip"] = []
    return Config.model_validate(changed)


def _known(named, variants):
    for key, variant in named.items():
        if variant is not None and variant not in variants:
            raise ValueError(f"{key} is {variant!r}; the variants are {', '.join(variants)}")
