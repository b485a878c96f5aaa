"""Docstrings as Markdown: sections in prose (Returns, References, …) become paragraphs, doctests code, names links."""

from __future__ import annotations

import re
import textwrap

import griffe
import pages

_PROSE = ("Returns", "Yields", "Reference", "References", "Call arguments", "Example")
_SECTION = re.compile(rf"^({'|'.join(_PROSE)}):\n((?:(?:[ ]{{4}}.*)?\n)*(?:[ ]{{4}}.*)?)", re.MULTILINE)
# An argument line of several names, as "first, second: ...", with the lines that continue it.
_SEVERAL = re.compile(r"^    (\w+(?:, \w+)+): (.*(?:\n {5,}.*)*)", re.MULTILINE)


class Sections(griffe.Extension):
    """Rewrites the docstrings of functions, classes and modules before they are parsed."""

    def __init__(self) -> None:
        names = pages.public_names()
        # `kerassl.losses.InfoNCE`, `losses.InfoNCE`, and `InfoNCE`: a class needs no package.
        self._homes = names | {name.removeprefix("kerassl."): home for name, home in names.items()}
        self._homes = {name: home for name, home in self._homes.items() if "." in name}
        classes = [name for name in names if re.fullmatch(r"[A-Z]+[a-z]\w*", name.split(".")[-1])]
        self._homes |= {name.split(".")[-1]: names[name] for name in classes}

    def on_instance(self, *, obj: griffe.Object, **_) -> None:
        """Rewrite the docstring of an object."""
        if obj.docstring is not None:
            text = _SEVERAL.sub(_each, _SECTION.sub(_markdown, obj.docstring.value))
            obj.docstring.value = re.sub(r"(?<![`\w])`([\w.]+)`(?!`)", lambda name: self._link(name, obj.path), text)

    def _link(self, match: re.Match[str], path: str) -> str:
        home = self._homes.get(match[1])
        return match[0] if home is None or path.startswith(home) else f"[{match[0]}][{home}]"


def _markdown(match: re.Match[str]) -> str:
    title, body = match[1], textwrap.dedent(match[2]).strip("\n")
    if ">>>" in body:
        body = re.sub(r"((?:^>>> .*\n?)(?:^(?!\n).+\n?)*(?:\n?(?=>>> ))?)+", _code, f"{body}\n", flags=re.MULTILINE)
    elif title == "Call arguments":
        body = re.sub(r"^(\w+): ", r"- `\1`: ", body, flags=re.MULTILINE)
    return f"**{title}:**\n\n{body.strip()}\n\n"


def _each(match: re.Match[str]) -> str:
    return "\n".join(f"    {name}: {match[2]}" for name in match[1].split(", "))


def _code(match: re.Match[str]) -> str:
    return f"```pycon\n{match[0].strip()}\n```\n"
