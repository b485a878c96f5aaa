"""What a run is told: a YAML file, checked key by key, with flags over it."""

import difflib
import os
import pathlib
import re
import typing
from typing import Literal

import pydantic

from kerassl._errors import UserError
from kerassl._io.yaml import read_yaml
from kerassl._numbers import short
from kerassl.comparison import grid
from kerassl.runs.schema import Arm, Compare, Data, Detector, Explain, Frozen, Localizer, Pretrain, Section, Seed


class Config(Section):
    """All settings of a run. Every command uses the sections that it needs."""

    backbone: str = "EfficientNetB1"
    # The layer after which the network is cut, as conv_pw_12_relu; null is its last feature map.
    until: str | None = None
    seed: Seed = 0
    strategy: Literal["none", "mirrored"] = "none"
    devices: list[str] | None = None
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = "float32"
    data: Data = pydantic.Field(default_factory=Data)
    pretrain: Pretrain = pydantic.Field(default_factory=Pretrain)
    frozen: Frozen | None = None
    localizer: Localizer | None = None
    detector: Detector | None = None
    explain: Explain = pydantic.Field(default_factory=Explain)
    # A word is short for one: "self-supervised", "random", "imagenet" or the path of a file of weights.
    arms: dict[str, Arm] = pydantic.Field(
        default_factory=lambda: {"self-supervised": Arm(pretrain={}), "random start": Arm()}, min_length=1
    )
    compare: Compare = pydantic.Field(default_factory=Compare)

    @pydantic.model_validator(mode="after")
    def _grid(self):
        for name, arm in self.arms.items():
            if arm.pretrain is not None:
                changed_section(self.pretrain, arm.pretrain, f"arms.{name}.pretrain")
        grid.check(self)
        return self


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
