"""Reading YAML, in one place: limits are checked before aliases are expanded, and a key counts once."""

from __future__ import annotations

import os
from typing import Any

import yaml

from kerassl._errors import UserError
from kerassl._io.text import read_text

_BYTES = 2_000_000
_NODES = 100_000  # after aliases are expanded
_DEPTH = 40
_SCALAR = 10_000  # characters: long numbers take time that grows with their square

_Events = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, but for keys that occur twice in a mapping, of which it takes the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen = set()
        for key, _ in node.value:
            name = getattr(key, "value", None)
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if (key.tag, name) in seen:
                    raise yaml.MarkedYAMLError(problem=f"the key {name!r} is there twice", problem_mark=key.start_mark)
                seen.add((key.tag, name))
        return super().construct_mapping(node, deep)


class _Texts(_Loader):
    """Take all that is not quoted for text, too."""


_Texts.yaml_implicit_resolvers = {}


def read_yaml(path: str | os.PathLike, remedy: str, texts: bool = False) -> Any:
    """Read a YAML file; one that names a key twice, or is too large, too deep or refers to too much, is refused.

    Args:
        path: Path of the file.
        remedy: Advice if it cannot be read, for the message.
        texts: Keep numbers, dates, yes and no as the text that they are written as: for names.
    """
    text = read_text(path, remedy, most=_BYTES)
    try:
        _check_limits(text)
        return yaml.load(text, _Texts if texts else _Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a date or number that is none
        mark = getattr(error, "problem_mark", None)
        line = f" at line {mark.line + 1}" if mark else ""
        reason = getattr(error, "problem", None) or str(error) or type(error).__name__
        raise UserError(f"{path} is no YAML{line}: {reason.splitlines()[0][:200]}; {remedy}") from None


def _check_limits(text):
    """Refuse what would be too large or too deep, or would contain itself, from the events of the parser alone."""
    sizes, whole, open_ = {}, 0, []  # of each anchor (nodes, depth), in all; [anchor, nodes before, deepest below]
    for event in yaml.parse(text, _Events):
        nodes, depth = 0, 0
        if isinstance(event, yaml.AliasEvent):
            if any(anchor == event.anchor for anchor, _, _ in open_):
                _refuse(event, f"*{event.anchor} refers to what contains it")
            nodes, depth = sizes.get(event.anchor, (1, 1))
        elif isinstance(event, yaml.ScalarEvent):
            if len(event.value) > _SCALAR:
                _refuse(event, f"a text of {len(event.value):,} characters; at most {_SCALAR:,} are read")
            nodes, depth = 1, 1
            sizes[event.anchor] = (1, 1)
        elif isinstance(event, yaml.CollectionStartEvent):
            open_.append([event.anchor, whole, 0])
            nodes, depth = 1, 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before, deepest = open_.pop()
            sizes[anchor] = (whole - before, deepest + 1)
            depth = deepest + 1
        whole += nodes
        if open_ and isinstance(event, yaml.CollectionStartEvent):
            depth = 0  # counted when it ends
        if open_:
            open_[-1][2] = max(open_[-1][2], depth)
        if len(open_) + depth > _DEPTH + 1:
            _refuse(event, f"it is nested more than {_DEPTH} deep")
        if whole > _NODES:
            _refuse(event, f"it holds more than {_NODES:,} values once its aliases are followed")


def _refuse(event, problem):
    raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
