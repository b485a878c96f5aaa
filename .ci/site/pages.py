"""Texts of the pages that are made of the source: the Python API, the commands, settings, and files of the root.

Names of the API are read from the source, and no TensorFlow is imported.
"""

from __future__ import annotations

import argparse
import ast
import pathlib
import posixpath
import re
import typing
from collections.abc import Iterator

ROOT = pathlib.Path(__file__).parents[2]
PACKAGE = ROOT / "kerassl"
# Pages outside docs/, by their place on the site.
MOUNTED = {
    "changelog.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
    "release.md": "RELEASE.md",
    "security.md": "SECURITY.md",
    "results/studies.md": "studies/README.md",
}


def navigation() -> dict:
    """Return the generated pages as an entry of the navigation."""
    api = {
        package: [f"reference/api/{package}/index.md", *map(_page, names)] for package, names in _by_package().items()
    }
    named = [f"reference/commands/{name}.md" for name in commands()]
    return {
        "Reference": [
            "reference/index.md",
            {"Commands": ["reference/commands/index.md", *named]},
            {"Configuration": "reference/configuration.md"},
            {"Python API": ["reference/api/index.md", *({package: own} for package, own in api.items())]},
        ]
    }


def pages() -> dict[str, str]:
    """Return the text of every generated page, by its place on the site."""
    found = {"reference/index.md": _reference(), "reference/api/index.md": _api()}
    for package, names in _by_package().items():
        found[f"reference/api/{package}/index.md"] = _package(package, names)
        found |= {_page(name): _object(name, home) for name, home in names.items()}
    found["reference/commands/index.md"] = _commands()
    found |= {f"reference/commands/{name}.md": command_page(name, parser) for name, parser in commands().items()}
    found["reference/configuration.md"] = configuration_page()
    return found | {place: mounted(source, place) for place, source in MOUNTED.items()}


# The Python API.


def public_names() -> dict[str, str]:
    """Return every public name, as `kerassl.losses.InfoNCE`, with its place, as `kerassl.losses.info_nce.InfoNCE`."""
    tree = _tree(PACKAGE / "__init__.py")
    constants = {node.targets[0].id: node.value for node in tree.body if isinstance(node, ast.Assign)}  # type: ignore[attr-defined]
    homes = {f"kerassl.{name}": home for name, home in ast.literal_eval(constants["_OTHERS"]).items()}
    homes["kerassl.UserError"] = "kerassl._errors"
    for package in ast.literal_eval(constants["_PACKAGES"]):
        file = PACKAGE / f"{package}.py"
        if file.is_file():
            homes |= {f"kerassl.{package}.{name}": f"kerassl.{package}" for name in _defined(_tree(file))}
        else:
            homes |= _lazily_loaded(f"kerassl.{package}")
    return {name: _home(name, module) for name, module in homes.items()}


def _lazily_loaded(package: str) -> dict[str, str]:
    tree = _tree(ROOT / package.replace(".", "/") / "__init__.py")
    block = next((node for node in tree.body if isinstance(node, ast.If)), None)
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)] if block else []
    return {f"{package}.{alias.name}": str(node.module) for node in imports for alias in node.names}


def _home(name: str, module: str) -> str:
    """Follow imports of a package to the module that defines the name."""
    short = name.split(".")[-1]
    if (ROOT / module.replace(".", "/")).is_dir():
        homes = _lazily_loaded(module)
        if homes.get(f"{module}.{short}", module) != module:
            return _home(name, homes[f"{module}.{short}"])
    return f"{module}.{short}"


def _defined(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            yield node.name


def _tree(file: pathlib.Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def _by_package() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for name, home in sorted(public_names().items(), key=lambda item: (item[0].rpartition(".")[0], item[0].lower())):
        found.setdefault(name.rpartition(".")[0], {})[name] = home
    return found


def _page(name: str) -> str:
    return f"reference/api/{name.rpartition('.')[0]}/{name.split('.')[-1]}.md"


def _object(name: str, home: str) -> str:
    short = name.split(".")[-1]
    return f"---\ntitle: {short}\n---\n\n::: {home}\n    options:\n      heading: {name}\n      toc_label: {short}\n"


def _summary(home: str) -> str:
    """Return the first paragraph of a docstring, or an empty text."""
    module, _, name = home.rpartition(".")
    file = ROOT / f"{module.replace('.', '/')}.py"
    if not file.is_file():  # a module that is public
        file = ROOT / f"{home.replace('.', '/')}.py"
        return _first(ast.get_docstring(_tree(file)))
    tree = _tree(file)
    found = [node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name == name]
    if found:  # after its overloads
        return _first(ast.get_docstring(found[-1]))
    after = dict(zip(tree.body, tree.body[1:], strict=False))
    for node, following in after.items():
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if name in [getattr(target, "id", None) for target in targets] and isinstance(following, ast.Expr):
            return _first(getattr(following.value, "value", None))
    return ""


def _first(docstring: str | None) -> str:
    return " ".join((docstring or "").split("\n\n")[0].split())


def _package(package: str, names: dict[str, str]) -> str:
    folder = ROOT / package.replace(".", "/")
    file = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
    rows = "\n".join(
        f"| [`{name.split('.')[-1]}`]({name.split('.')[-1]}.md) | {_summary(home)} |" for name, home in names.items()
    )
    return f"# {package}\n\n{ast.get_docstring(_tree(file))}\n\n| name | |\n|---|---|\n{rows}\n"


def _api() -> str:
    rows = "\n".join(
        f"| [`{package}`]({package}/index.md) | "
        + ", ".join(f"[`{name.split('.')[-1]}`]({package}/{name.split('.')[-1]}.md)" for name in names)
        + " |"
        for package, names in _by_package().items()
    )
    return f"# Python API\n\n| package | public names |\n|---|---|\n{rows}\n"


# The commands, by their parsers, of which `--help` is made as well.


def commands() -> dict[str, argparse.ArgumentParser]:
    """Return the parser of every command."""
    from kerassl.cli.main import parser

    return next(iter(_subparsers(parser()))).choices  # type: ignore[return-value]


def _subparsers(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    return (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))


def command_page(name: str, parser: argparse.ArgumentParser) -> str:
    """Return the page of a command: description, usage and every option with its help."""
    formatter = argparse.HelpFormatter(parser.prog, width=78)
    formatter.add_usage(parser.usage, parser._actions, parser._mutually_exclusive_groups, "")
    parts = [f"# kerassl {name}", _prose(parser.description or ""), f"```text\n{formatter.format_help().strip()}\n```"]
    for group in parser._action_groups:
        actions = [action for action in group._group_actions if action.help != argparse.SUPPRESS]
        if actions:
            title = {"options": "Options", "positional arguments": "Arguments"}.get(
                group.title or "", group.title or ""
            )
            parts += [f"## {title[:1].upper()}{title[1:]}", *filter(None, [_prose(group.description or "")])]
            parts += [_option(action, parser) for action in actions]
    if parser.epilog:
        parts.append(_prose(parser.epilog))
    return "\n\n".join(parts) + "\n"


def _option(action: argparse.Action, parser: argparse.ArgumentParser) -> str:
    formatter = parser._get_formatter()
    names = formatter._format_action_invocation(action)
    text = formatter._expand_help(action) if action.help else ""
    return f"`{names}`\n:   {_prose(text) or '–'}"


def _prose(text: str) -> str:
    """Return text of the terminal as Markdown."""
    text = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace("|", "&#124;")
    return re.sub(r"([*_\[\]])", r"\\\1", text)


def _commands() -> str:
    from kerassl.cli.main import parser

    helps = {each.dest: each.help for action in _subparsers(parser()) for each in action._choices_actions}  # type: ignore[attr-defined]
    rows = "\n".join(f"| [`kerassl {name}`]({name}.md) | {_prose(helps.get(name) or '')} |" for name in commands())
    return f"# Commands\n\nThe pages have the text of `kerassl COMMAND --help`.\n\n| command | |\n|---|---|\n{rows}\n"


# The settings, by their schema.


def configuration_page() -> str:
    """Return the page of all settings of a configuration."""
    from kerassl.config import Config

    head = (
        "# Configuration\n\nSettings of a YAML file for `--config` of `pretrain`, `distill`, `finetune`, `self-train` "
        "and `compare`. "
        "`kerassl config` prints all of them with their defaults, `kerassl config NAME` an example that is shipped. "
        "Flags override the file. A section without a default does nothing unless it is there."
    )
    return "\n\n".join([head, *_section(Config, ())]) + "\n"


def _section(section, path: tuple[str, ...]) -> Iterator[str]:
    from kerassl.config import reference

    inner = {}
    for name, field in section.model_fields.items():
        kind = reference.inner_section(field.annotation)
        if kind is not None:
            inner[name] = (kind, field)
            continue
        text = [_prose(field.description or ""), f"*{_prose(reference.accepted(field))}.*"]
        if not field.is_required():
            text.append(f"Default: `{reference.default_text(field)}`.")
        yield f"`{name}` {{ #{'.'.join((*path, name))} }}\n:   {' '.join(text)}"
    for name, (kind, field) in inner.items():
        named = typing.get_origin(field.annotation) is dict
        where = (*path, name, "<name>") if named else (*path, name)
        level = "#" * min(sum(part != "<name>" for part in path) + 2, 4)
        yield f"{level} `{'.'.join(where)}` {{ #{'.'.join((*path, name))} }}"
        yield _prose(field.description or "")
        yield from _section(kind, where)


def _reference() -> str:
    return (
        "# Reference\n\n- [Commands](commands/index.md): every flag of `kerassl`.\n"
        "- [Configuration](configuration.md): every setting of a run.\n"
        "- [Python API](api/index.md): every public name.\n"
    )


# Files of the root.


def mounted(source: str, place: str) -> str:
    """Return a Markdown file of the repository as a page, with its links relative to the page."""
    places = {file: page for page, file in MOUNTED.items()}

    def link(match):
        text, target, anchor = match[1], match[2], match[3] or ""
        if re.match(r"[a-z]+:", target):
            return match[0]
        file = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        page = places.get(file) or (file.removeprefix("docs/") if file.startswith("docs/") else None)
        if page is None:
            return text.strip("[]") if "`" in text else f"`{file}`"
        return f"{text}({posixpath.relpath(page, posixpath.dirname(place) or '.')}{anchor})"

    text = (ROOT / source).read_text(encoding="utf-8")
    return re.sub(r"(\[[^\]]*\])\(([^)#\s]+)(#[^)]*)?\)", link, text)
