"""All settings as a commented YAML file, and the configurations that are shipped."""

from __future__ import annotations

import difflib
import pathlib
import textwrap
import typing
from collections.abc import Iterator

import yaml
from pydantic.fields import FieldInfo

from kerassl._errors import UserError
from kerassl._numbers import Number
from kerassl.config.config import Config, kind_of
from kerassl.config.schema import Section, score_or_count
from kerassl.resizing import check_image_size

_HEAD = """\
# All settings of kerassl with their defaults. Keep what you change, and give the file by --config; flags override it.
# A section that is commented out does nothing unless it is there: remove the first # of its lines to use it.
"""


def default_config() -> str:
    """Return a YAML file of all settings: each with its type and advice as a comment, and its default."""
    return _HEAD + "\n".join(_section_lines(Config)) + "\n"


def shipped_configs() -> dict[str, pathlib.Path]:
    """Return the configurations that are shipped, by name."""
    package = pathlib.Path(__file__).parents[1]
    # In a clone `kerassl/configs` is a link, which some systems have as a file.
    folder = next(each for each in (package / "configs", package.parent / "configs") if each.is_dir())
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def shipped_config(name: str) -> str:
    """Return the text of a configuration that is shipped.

    Raises:
        UserError: if there is none of that name.
    """
    files = shipped_configs()
    if name not in files:
        close = difflib.get_close_matches(name, files, 1)
        hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(files)}"
        raise UserError(f"no configuration {name!r} is shipped; {hint}")
    return files[name].read_text(encoding="utf-8")


def _section_lines(section: type[Section]) -> Iterator[str]:
    for name, field in section.model_fields.items():
        yield ""
        inner = inner_section(field.annotation)
        values = accepted(field)
        yield from textwrap.wrap(
            f"{field.description} ({values})" if values else field.description or "",
            110,
            initial_indent="# ",
            subsequent_indent="# ",
        )
        if inner is None:
            yield f"{name}: {default_text(field)}"
        elif typing.get_origin(field.annotation) is dict:
            yield f"{name}:"
            for key, value in field.get_default(call_default_factory=True).items():
                yield f"  {key}: {_flow(value.model_dump(exclude_defaults=True))}"
            yield "  #another name:"
            yield from _indented(_section_lines(inner), "  #  ")
        elif field.default is None:
            yield f"#{name}:"
            yield from _indented(_section_lines(inner), "#  ")
        else:
            yield f"{name}:"
            yield from _indented(_section_lines(inner), "  ")


def _indented(lines: Iterator[str], indent: str) -> Iterator[str]:
    next(lines)  # no empty line after the section's name
    return (f"{indent}{line}".rstrip() for line in lines)


def inner_section(annotation: typing.Any) -> type[Section] | None:
    """Return the section that is the type of a setting, or that a mapping has as values; None for a plain value."""
    for option in (annotation, *typing.get_args(annotation)):
        if isinstance(option, type) and issubclass(option, Section):
            return option
    return None


def accepted(field: FieldInfo) -> str:
    """Return the values that a setting accepts, in words; an empty text for a section."""
    if inner_section(field.annotation) is not None:
        return ""
    kind, check = kind_of(field)
    origin = typing.get_origin(kind) or kind
    if isinstance(check, Number):
        text = check.accepted.removeprefix("give ")
    elif check is check_image_size:
        text = "pixels, a multiple of 32"
    elif check is score_or_count:
        text = "a number from 0 to 1, or count"
    elif origin is typing.Literal:
        *most, last = typing.get_args(kind)
        text = f"{', '.join(map(str, most))} or {last}"
    else:
        names = {bool: "true or false", str: "text", list: "list", dict: "mapping", tuple: "two numbers"}
        text = names.get(origin, "true, false or list")
    return f"{text} or null" if type(None) in typing.get_args(field.annotation) else text


def default_text(field: FieldInfo) -> str:
    """Return the default of a setting as YAML, or an example where there is none."""
    return _flow(
        field.examples[0] if field.is_required() and field.examples else field.get_default(call_default_factory=True)
    )


def _flow(value) -> str:
    value = list(value) if isinstance(value, tuple) else value
    return yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix("\n").removesuffix("\n...")
